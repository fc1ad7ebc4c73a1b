# UDA from Synthia to Cityscapes on whole images of random resolution, mirrored at random, as CLAN.
_base_ = ["./uda_synthia_to_cityscapes_whole.py"]
_resize = dict(type="RandomResolution", interpolation="bicubic", backend="pillow")
train_dataloader = dict(
    dataset=dict(
        source=dict(
            pipeline=[
                dict(type="LoadImage"),
                dict(type="LoadLabel"),
                dict(_resize, scale=(1280, 760)),
                dict(type="RandomFlip", prob=0.5),
                dict(type="PackInputs"),
            ]
        ),
        target=dict(
            pipeline=[
                dict(type="LoadImage"),
                dict(_resize, scale=(1024, 512)),
                dict(type="RandomFlip", prob=0.5),
                dict(type="PackInputs"),
            ]
        ),
    )
)
