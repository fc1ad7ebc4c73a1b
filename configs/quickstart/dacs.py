# DACS self-training on the toy pair, started from the source-only weights.
#
#   python tools/train.py configs/quickstart/dacs.py --load-from CKPT
_base_ = ["toy_adaptation.py", "../_base_/uda/dacs.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
