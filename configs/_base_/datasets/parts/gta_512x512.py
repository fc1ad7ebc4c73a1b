# GTA as source: frames of 1914x1052 pixels become 1280x704.
gta_train = dict(
    type="GTADataset",
    data_root="data/gta",
    pipeline=[
        dict(type="LoadImage"),
        dict(type="LoadLabel"),
        dict(type="Resize", scale=(1280, 720)),
        dict(type="RandomCrop", crop_size=(512, 512), cat_max_ratio=0.75),
        dict(type="RandomFlip", prob=0.5),
        dict(type="Pad", size=(512, 512)),
        dict(type="PackInputs"),
    ],
)
