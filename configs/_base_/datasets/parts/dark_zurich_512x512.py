# Dark Zurich (night) at half size, 960x540: as target and for evaluation.
dark_zurich_target = dict(
    type="DarkZurichDataset",
    data_root="data/dark_zurich",
    img_dir="rgb_anon/train/night",
    load_labels=False,
    pipeline=[
        dict(type="LoadImage"),
        dict(type="Resize", scale=(960, 540)),
        dict(type="RandomCrop", crop_size=(512, 512)),
        dict(type="RandomFlip", prob=0.5),
        dict(type="Pad", size=(512, 512)),
        dict(type="PackInputs"),
    ],
)
dark_zurich_val = dict(
    type="DarkZurichDataset",
    data_root="data/dark_zurich",
    img_dir="rgb_anon/val",
    ann_dir="gt/val",
    test_mode=True,
    pipeline=[
        dict(type="LoadImage"),
        dict(type="Resize", scale=(960, 540)),
        dict(type="LoadLabel"),  # behind Resize: predictions are scored at the size of the label
        dict(type="PackInputs"),
    ],
)
