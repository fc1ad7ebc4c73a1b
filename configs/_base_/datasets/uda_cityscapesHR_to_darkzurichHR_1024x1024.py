# UDA from Cityscapes to Dark Zurich (night), crops of 1024x1024.
_base_ = ["./parts/loaders.py", "./parts/cityscapesHR_1024x1024.py", "./parts/dark_zurichHR_1024x1024.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.cityscapes_train, target=_base_.dark_zurich_target)
)
val_dataloader = dict(dataset=_base_.dark_zurich_val)
test_dataloader = val_dataloader
