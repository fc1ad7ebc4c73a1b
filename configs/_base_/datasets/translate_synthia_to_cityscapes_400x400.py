# Images of Synthia and Cityscapes for generators, in crops of 400x400 of images that are 1024 pixels wide.
_base_ = ["./parts/crops_400x400.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.synthia_train, target=_base_.cityscapes_target)
)
