# Source-only training continued with the schedule of the adaptation: what its additional iterations alone
# bring.
#
#   python tools/train.py configs/quickstart/source_only_longer.py --load-from CKPT
_base_ = ["toy_adaptation.py"]
train_dataloader = dict(dataset=_base_.gta_train)
