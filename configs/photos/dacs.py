# DACS self-training.
_base_ = ["photo_base.py", "../_base_/uda/dacs.py"]
train_dataloader = dict(dataset=dict(type="UDADataset", source=_base_.source, target=_base_.target))
