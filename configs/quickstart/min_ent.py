# Entropy minimisation (MinEnt) on the toy pair.
#
#   python tools/train.py configs/quickstart/min_ent.py --load-from CKPT
_base_ = ["toy_adaptation.py", "../_base_/uda/minent.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
