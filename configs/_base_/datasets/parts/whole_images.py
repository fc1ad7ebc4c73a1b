# How the methods of AdaptSegNet's time see images: whole, resized to a fixed size by Pillow's bicubic filter,
# never cropped, mirrored or coloured. One source and one target image make a batch.
_base_ = ["./loaders.py"]
train_dataloader = dict(batch_size=1)
resize = dict(type="Resize", keep_ratio=False, interpolation="bicubic", backend="pillow")
gta_train = dict(
    type="GTADataset",
    data_root="data/gta",
    pipeline=[
        dict(type="LoadImage"),
        dict(type="LoadLabel"),
        dict(resize, scale=(1280, 720)),
        dict(type="PackInputs"),
    ],
)
synthia_train = dict(
    type="SynthiaDataset",
    data_root="data/synthia",
    pipeline=[
        dict(type="LoadImage"),
        dict(type="LoadLabel"),
        dict(resize, scale=(1280, 760)),
        dict(type="PackInputs"),
    ],
)
synthia_evaluator = dict(type="IoUMetric", class_subsets=("16", "13"))
cityscapes_train = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/train",
    ann_dir="gtFine/train",
    pipeline=[
        dict(type="LoadImage"),
        dict(type="LoadLabel"),
        dict(resize, scale=(1024, 512)),
        dict(type="PackInputs"),
    ],
)
cityscapes_target = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/train",
    load_labels=False,
    pipeline=[dict(type="LoadImage"), dict(resize, scale=(1024, 512)), dict(type="PackInputs")],
)
cityscapes_val = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/val",
    ann_dir="gtFine/val",
    test_mode=True,
    pipeline=[
        dict(type="LoadImage"),
        dict(resize, scale=(1024, 512)),
        dict(type="LoadLabel"),  # behind Resize: predictions are scored at the size of the label
        dict(type="PackInputs"),
    ],
)
val_dataloader = dict(dataset=cityscapes_val)
test_dataloader = val_dataloader
# The same images at a random resolution, and mirrored at random, as CLAN sees them.
resolution = dict(type="RandomResolution", interpolation="bicubic", backend="pillow")
flip_and_pack = [dict(type="RandomFlip", prob=0.5), dict(type="PackInputs")]
labelled = [dict(type="LoadImage"), dict(type="LoadLabel")]
gta_train_resolutions = dict(
    gta_train, pipeline=[*labelled, dict(resolution, scale=(1280, 720)), *flip_and_pack]
)
synthia_train_resolutions = dict(
    synthia_train, pipeline=[*labelled, dict(resolution, scale=(1280, 760)), *flip_and_pack]
)
cityscapes_target_resolutions = dict(
    cityscapes_target,
    pipeline=[dict(type="LoadImage"), dict(resolution, scale=(1024, 512)), *flip_and_pack],
)
del resize, resolution, flip_and_pack, labelled
