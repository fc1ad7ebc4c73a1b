# Self-training in rounds from Synthia to Cityscapes with the images of CRST: 2 % of the source at first.
_base_ = ["./parts/rounds.py"]
crop = (600, 900)
crop_and_flip = [
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=crop),
    dict(type="PackInputs"),
]
train_dataloader = dict(
    dataset=dict(
        type="SelfTrainingDataset",
        source=dict(
            _base_.synthia,
            pipeline=[
                *_base_.labelled,
                _base_.synthia_size,
                dict(type="RandomScale", low=0.8, high=1.2),
                dict(type="RandomCrop", crop_size=crop),
                *crop_and_flip,
            ],
        ),
        target=dict(
            _base_.cityscapes_target,
            pipeline=[
                dict(type="LoadImage"),
                dict(type="RandomScale", low=0.6, high=1.5),
                dict(type="MiningCrop", crop_size=crop, probability=0.8),
                *crop_and_flip,
            ],
        ),
        source_portions=[0.02, 0.0225, 0.025, 0.0275],
        source_choice="anew",
    )
)
rounds = dict(images=_base_.cityscapes_images, flip=True, scales=[0.9])
val_evaluator = _base_.synthia_evaluator
test_evaluator = val_evaluator
del crop, crop_and_flip
