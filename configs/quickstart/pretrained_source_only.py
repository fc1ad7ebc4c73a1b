# Source-only training on the toy pair from ImageNet weights.
#
#   python tools/train.py configs/quickstart/pretrained_source_only.py
_base_ = ["pretrained_base.py"]
train_dataloader = dict(dataset=_base_.gta_train)
