# UDA from Cityscapes to Dark Zurich (night), crops of 512x512.
_base_ = ["./parts/loaders.py", "./parts/cityscapes_512x512.py", "./parts/dark_zurich_512x512.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.cityscapes_train, target=_base_.dark_zurich_target)
)
val_dataloader = dict(dataset=_base_.dark_zurich_val)
test_dataloader = val_dataloader
