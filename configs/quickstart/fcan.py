# The representation adaptation network of FCAN on the toy pair; the images are those of the source.
#
#   python tools/train.py configs/quickstart/fcan.py --load-from CKPT
_base_ = ["toy_adaptation.py", "../_base_/uda/fcan.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
