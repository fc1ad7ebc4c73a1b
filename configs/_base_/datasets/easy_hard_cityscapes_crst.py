# Easy and hard images of Cityscapes for phase 2 of TPLD, in the crops of CRST, on which it builds.
_base_ = ["./parts/rounds.py"]
train_dataloader = dict(
    dataset=dict(
        type="EasyHardDataset",
        target=dict(
            _base_.cityscapes_target,
            pipeline=[
                dict(type="LoadImage"),
                dict(type="RandomScale", low=0.5, high=1.5),
                dict(type="RandomCrop", crop_size=(512, 1024)),
                dict(type="RandomFlip", prob=0.5),
                dict(type="Pad", size=(512, 1024)),
                dict(type="PackInputs"),
            ],
        ),
    )
)
rounds = dict(images=_base_.cityscapes_images, flip=True, scales=[0.9])
