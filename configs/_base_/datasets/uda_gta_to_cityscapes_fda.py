# UDA from GTA to Cityscapes as FDA sees them: crops of 1024x512 of source images of 1280x720.
_base_ = ["./parts/fda_crops.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_crops, target=_base_.cityscapes_target)
)
