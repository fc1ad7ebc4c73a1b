# Training on the labels of the target: what adaptation could reach at best. As many iterations as source-only
# training and adaptation together.
#
#   python tools/train.py configs/quickstart/oracle.py
_base_ = ["toy_base.py"]
train_dataloader = dict(dataset=_base_.cityscapes_train)
train_cfg = dict(max_iters=1600)
