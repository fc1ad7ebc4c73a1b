# Self-training in rounds from Synthia to Cityscapes with the images of CBST: mining in the source as well,
# whose images keep their size of 1280x760.
_base_ = ["./parts/rounds.py"]
crop = (504, 504)
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
                dict(type="RandomScale", low=0.7, high=1.3),
                dict(type="MiningCrop", crop_size=crop, probability=0.8),
                *crop_and_flip,
            ],
        ),
        target=dict(
            _base_.cityscapes_target,
            pipeline=[
                dict(type="LoadImage"),
                dict(type="RandomScale", low=0.7, high=1.3),
                dict(type="MiningCrop", crop_size=crop, probability=0.8),
                *crop_and_flip,
            ],
        ),
        source_portions=[0.02, 0.0225, 0.025, 0.0275, 0.03, 0.0325],
        source_choice="cumulative",
    )
)
rounds = dict(images=_base_.cityscapes_images, flip=True, scales=[0.903])
val_evaluator = _base_.synthia_evaluator
test_evaluator = val_evaluator
del crop, crop_and_flip
