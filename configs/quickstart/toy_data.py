# The toy street scenes, 512x256 pixels, in crops of 128x128: sources and targets as the runs use them.
# RCS counts pixels of the original image; 3000 of GTA's 1914x1052 correspond to about 200 of a toy image.
crop = (128, 128)
labelled = [
    dict(type="LoadImage"),
    dict(type="LoadLabel"),
    dict(type="RandomCrop", crop_size=crop, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackInputs"),
]
unlabelled = [
    dict(type="LoadImage"),
    dict(type="RandomCrop", crop_size=crop),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PackInputs"),
]
supervised = [
    *labelled[:-1],
    dict(type="PhotoMetricDistortion"),
    labelled[-1],
]  # as published: only without UDA
gta_source = dict(type="GTADataset", data_root="data/toy/gta", pipeline=labelled)
gta_train = dict(type="GTADataset", data_root="data/toy/gta", pipeline=supervised)
cityscapes_target = dict(
    type="CityscapesDataset",
    data_root="data/toy/cityscapes",
    img_dir="leftImg8bit/train",
    load_labels=False,
    pipeline=unlabelled,
)
cityscapes_train = dict(
    type="CityscapesDataset",
    data_root="data/toy/cityscapes",
    img_dir="leftImg8bit/train",
    ann_dir="gtFine/train",
    pipeline=supervised,
)
cityscapes_val = dict(
    type="CityscapesDataset",
    data_root="data/toy/cityscapes",
    img_dir="leftImg8bit/val",
    ann_dir="gtFine/val",
    test_mode=True,
    pipeline=[
        dict(type="LoadImage"),
        dict(type="Resize", scale=(512, 256)),
        dict(type="LoadLabel"),
        dict(type="PackInputs"),
    ],
)
