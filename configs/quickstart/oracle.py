# Training on the labels of the target: what adaptation could reach at best.
#
#   python tools/train.py configs/quickstart/oracle.py
_base_ = ["toy_base.py"]
train_dataloader = dict(dataset=_base_.cityscapes_train)
