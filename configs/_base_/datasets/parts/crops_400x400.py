# How CycleGAN sees images in CyCADA's translation of GTA: 1024 pixels wide, in mirrored crops of 400x400. One
# source and one target image make a batch; nothing is validated.
_base_ = ["./loaders.py"]
train_dataloader = dict(batch_size=1)
crop = [
    dict(type="Resize", scale=(1024, 1024), interpolation="bicubic", backend="pillow"),
    dict(type="RandomCrop", crop_size=(400, 400)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=(400, 400)),
    dict(type="PackInputs"),
]
gta_train = dict(
    type="GTADataset",
    data_root="data/gta",
    pipeline=[dict(type="LoadImage"), dict(type="LoadLabel"), *crop],
)
synthia_train = dict(
    type="SynthiaDataset",
    data_root="data/synthia",
    pipeline=[dict(type="LoadImage"), dict(type="LoadLabel"), *crop],
)
cityscapes_target = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/train",
    load_labels=False,
    pipeline=[dict(type="LoadImage"), *crop],
)
del crop
