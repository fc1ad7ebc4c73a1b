# Training on the labels of the source alone.
_base_ = ["photo_base.py"]
train_dataloader = dict(dataset=_base_.source_train)
