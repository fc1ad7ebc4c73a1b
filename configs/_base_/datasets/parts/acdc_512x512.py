# ACDC (adverse weather): as target and for evaluation.
_base_ = ["./adverse_512x512.py"]
acdc_target = dict(
    type="ACDCDataset",
    data_root="data/acdc",
    img_dir="rgb_anon/train",
    load_labels=False,
    pipeline=_base_.adverse_target_pipeline,
)
acdc_val = dict(
    type="ACDCDataset",
    data_root="data/acdc",
    img_dir="rgb_anon/val",
    ann_dir="gt/val",
    test_mode=True,
    pipeline=_base_.adverse_val_pipeline,
)
