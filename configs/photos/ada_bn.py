# AdaBN: source labels, and the target's statistics in the batch norms.
_base_ = ["photo_base.py"]
uda = dict(type="AdaBN")
train_dataloader = dict(dataset=dict(type="UDADataset", source=_base_.source, target=_base_.target))
