# UDA from GTA and Synthia together to Cityscapes, crops of 512x512. Half of the samples are of each source;
# with mode="joint" a sample has an image of both.
_base_ = [
    "./parts/loaders.py",
    "./parts/gta_512x512.py",
    "./parts/synthia_512x512.py",
    "./parts/cityscapes_512x512.py",
]
train_dataloader = dict(
    dataset=dict(
        type="UDADataset",
        source=dict(gta=dict(dataset=_base_.gta_train), synthia=dict(dataset=_base_.synthia_train)),
        target=_base_.cityscapes_target,
    )
)
val_dataloader = dict(dataset=_base_.cityscapes_val)
test_dataloader = val_dataloader
# All 19 classes have labels in GTA; 16 and 13 are those that earlier work reports.
val_evaluator = _base_.synthia_evaluator
test_evaluator = val_evaluator
