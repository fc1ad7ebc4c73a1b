# Dark Zurich (night): as target and for evaluation.
_base_ = ["./adverse_512x512.py"]
dark_zurich_target = dict(
    type="DarkZurichDataset",
    data_root="data/dark_zurich",
    img_dir="rgb_anon/train/night",
    load_labels=False,
    pipeline=_base_.adverse_target_pipeline,
)
dark_zurich_val = dict(
    type="DarkZurichDataset",
    data_root="data/dark_zurich",
    img_dir="rgb_anon/val",
    ann_dir="gt/val",
    test_mode=True,
    pipeline=_base_.adverse_val_pipeline,
)
