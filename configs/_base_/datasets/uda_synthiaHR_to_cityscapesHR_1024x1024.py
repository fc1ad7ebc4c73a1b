# UDA from Synthia to Cityscapes, crops of 1024x1024.
_base_ = ["./parts/loaders.py", "./parts/synthiaHR_1024x1024.py", "./parts/cityscapesHR_1024x1024.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.synthia_train, target=_base_.cityscapes_target)
)
val_dataloader = dict(dataset=_base_.cityscapes_val)
test_dataloader = val_dataloader
val_evaluator = _base_.synthia_evaluator
test_evaluator = val_evaluator
