# Pipelines of ACDC and Dark Zurich at half size, 960x540: as unlabelled target and for evaluation.
adverse_target_pipeline = [
    dict(type="LoadImage"),
    dict(type="Resize", scale=(960, 540)),
    dict(type="RandomCrop", crop_size=(512, 512)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=(512, 512)),
    dict(type="PackInputs"),
]
adverse_val_pipeline = [
    dict(type="LoadImage"),
    dict(type="Resize", scale=(960, 540)),
    dict(type="LoadLabel"),  # behind Resize: predictions are scored at the size of the label
    dict(type="PackInputs"),
]
