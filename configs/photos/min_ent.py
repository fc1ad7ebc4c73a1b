# Entropy minimisation (MinEnt): source labels, and certain predictions on the target.
_base_ = ["photo_base.py", "../_base_/uda/minent.py"]
train_dataloader = dict(dataset=dict(type="UDADataset", source=_base_.source, target=_base_.target))
