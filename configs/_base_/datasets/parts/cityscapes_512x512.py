# Cityscapes at half size, 1024x512: labelled (source or oracle), unlabelled (target), and for evaluation.
cityscapes_train = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/train",
    ann_dir="gtFine/train",
    pipeline=[
        dict(type="LoadImage"),
        dict(type="LoadLabel"),
        dict(type="Resize", scale=(1024, 512)),
        dict(type="RandomCrop", crop_size=(512, 512), cat_max_ratio=0.75),
        dict(type="RandomFlip", prob=0.5),
        dict(type="Pad", size=(512, 512)),
        dict(type="PackInputs"),
    ],
)
cityscapes_target = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/train",
    load_labels=False,
    pipeline=[
        dict(type="LoadImage"),
        dict(type="Resize", scale=(1024, 512)),
        dict(type="RandomCrop", crop_size=(512, 512)),
        dict(type="RandomFlip", prob=0.5),
        dict(type="Pad", size=(512, 512)),
        dict(type="PackInputs"),
    ],
)
cityscapes_val = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/val",
    ann_dir="gtFine/val",
    test_mode=True,
    pipeline=[
        dict(type="LoadImage"),
        dict(type="Resize", scale=(1024, 512)),
        dict(type="LoadLabel"),  # behind Resize: predictions are scored at the size of the label
        dict(type="PackInputs"),
    ],
)
