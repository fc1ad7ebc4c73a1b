# UDA from Synthia to Cityscapes in crops of 768x768 at full resolution, as CyCADA's feature adaptation.
_base_ = ["./parts/crops_768x768.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.synthia_train, target=_base_.cityscapes_target)
)
val_evaluator = _base_.synthia_evaluator
test_evaluator = val_evaluator
