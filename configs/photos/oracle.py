# Training on the labels of the target: what adaptation could reach at best.
_base_ = ["photo_base.py"]
train_dataloader = dict(dataset=_base_.target_train)
