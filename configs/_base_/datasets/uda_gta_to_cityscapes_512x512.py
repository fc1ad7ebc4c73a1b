# UDA from GTA to Cityscapes, crops of 512x512.
_base_ = ["./parts/loaders.py", "./parts/gta_512x512.py", "./parts/cityscapes_512x512.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_train, target=_base_.cityscapes_target)
)
val_dataloader = dict(dataset=_base_.cityscapes_val)
test_dataloader = val_dataloader
