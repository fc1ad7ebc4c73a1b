# UDA from Synthia to Cityscapes as FDA sees them: crops of 1024x512 of source images of 1280x760.
_base_ = ["./parts/fda_crops.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.synthia_crops, target=_base_.cityscapes_target)
)
val_evaluator = _base_.synthia_evaluator
test_evaluator = val_evaluator
