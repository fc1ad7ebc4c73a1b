# UDA from Cityscapes to ACDC (adverse weather), crops of 1024x1024.
_base_ = ["./parts/loaders.py", "./parts/cityscapesHR_1024x1024.py", "./parts/acdcHR_1024x1024.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.cityscapes_train, target=_base_.acdc_target)
)
val_dataloader = dict(dataset=_base_.acdc_val)
test_dataloader = val_dataloader
