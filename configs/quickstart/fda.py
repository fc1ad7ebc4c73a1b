# FDA on the toy pair: low frequencies of the target, and its entropy.
#
#   python tools/train.py configs/quickstart/fda.py --load-from CKPT
_base_ = ["toy_adaptation.py", "../_base_/uda/fda.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
