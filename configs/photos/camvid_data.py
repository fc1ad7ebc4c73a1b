# CamVid, 480x360 pixels, in crops of 160x160: by day and at dusk. docs/photo_benchmark.md says how each
# setting came about.
crop = (160, 160)
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
]  # as published: only without adaptation
tested = [dict(type="LoadImage"), dict(type="LoadLabel"), dict(type="PackInputs")]
day = dict(type="CamVidDataset", data_root="data/camvid", split="data/camvid/day_train.txt")
dusk = dict(type="CamVidDataset", data_root="data/camvid", split="data/camvid/dusk_train.txt")
source = dict(**day, pipeline=labelled)
source_train = dict(**day, pipeline=supervised)
# the bonnet, which no label names, covers up to 26 rows at the bottom
target = dict(**dusk, load_labels=False, crop_pseudo_margins=[0, 26, 0, 0], pipeline=unlabelled)
target_train = dict(**dusk, pipeline=supervised)
target_test = dict(
    type="CamVidDataset",
    data_root="data/camvid",
    img_dir="test",
    ann_dir="testannot",
    split="data/camvid/dusk_test.txt",
    test_mode=True,
    pipeline=tested,
)
