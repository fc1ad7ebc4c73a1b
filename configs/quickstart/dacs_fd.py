# DACS with the thing-class feature distance.
#
# ImageNet weights are not at hand in the quickstart; the frozen encoder holds the source-only weights instead
# (as given by model.pretrained), so the distance can only keep what the source has taught.
_base_ = ["toy_adaptation.py", "../_base_/uda/dacs_fdthings.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
