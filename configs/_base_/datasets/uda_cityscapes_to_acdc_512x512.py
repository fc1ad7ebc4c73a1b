# UDA from Cityscapes to ACDC (adverse weather), crops of 512x512.
_base_ = ["./parts/loaders.py", "./parts/cityscapes_512x512.py", "./parts/acdc_512x512.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.cityscapes_train, target=_base_.acdc_target)
)
val_dataloader = dict(dataset=_base_.acdc_val)
test_dataloader = val_dataloader
