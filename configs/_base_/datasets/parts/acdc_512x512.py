# ACDC at half size, 960x540: as target and for evaluation.
acdc_target = dict(
    type="ACDCDataset",
    data_root="data/acdc",
    img_dir="rgb_anon/train",
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
acdc_val = dict(
    type="ACDCDataset",
    data_root="data/acdc",
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
