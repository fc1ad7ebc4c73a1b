# Source-only training on the toy pair: the baseline, and the weights the adaptation starts from.
#
#   python tools/train.py configs/quickstart/source_only.py
_base_ = ["toy_base.py"]
train_dataloader = dict(dataset=_base_.gta_train)
