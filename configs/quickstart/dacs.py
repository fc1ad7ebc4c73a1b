# DACS self-training on the toy pair, started from the source-only weights.
#
#   python tools/train.py configs/quickstart/dacs.py --load-from work_dirs/source_only/iter_600.pth
_base_ = ["toy_base.py", "../_base_/uda/dacs.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
