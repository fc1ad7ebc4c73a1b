# UDA from GTA to Cityscapes in crops of 768x768 at full resolution, as CyCADA's feature adaptation.
_base_ = ["./parts/crops_768x768.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_train, target=_base_.cityscapes_target)
)
