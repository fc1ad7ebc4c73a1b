# Synthia at a random scale in crops of 500x500, as the source-only networks of CRST are trained.
_base_ = ["./parts/rounds.py"]
crop = dict(type="RandomCrop", crop_size=(500, 500))
crop_and_flip = [
    dict(type="RandomScale", low=0.5, high=1.5),
    crop,
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=(500, 500)),
    dict(type="PackInputs"),
]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        type="UDADataset",
        source=dict(_base_.synthia, pipeline=[*_base_.labelled, _base_.synthia_size, *crop_and_flip]),
        target=dict(_base_.cityscapes_target, pipeline=[dict(type="LoadImage"), *crop_and_flip]),
    ),
)
val_evaluator = _base_.synthia_evaluator
test_evaluator = val_evaluator
del crop, crop_and_flip
