# Self-training in rounds from GTA to Cityscapes with the images of CBST: mining in the source as well.
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
            _base_.gta,
            pipeline=[
                *_base_.labelled,
                _base_.gta_size,
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
        source_portions=[0.03, 0.0325, 0.035, 0.0375, 0.04, 0.0425],
        source_choice="cumulative",
    )
)
rounds = dict(images=_base_.cityscapes_images, flip=True, scales=[0.903])
del crop, crop_and_flip
