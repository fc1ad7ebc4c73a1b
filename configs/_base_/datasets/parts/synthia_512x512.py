# Synthia as source: images of 1280x760 pixels keep their size. Terrain, truck and train do not occur in it,
# so the mean IoU is reported over the 16 classes that do, and over 13 of them.
synthia_train = dict(
    type="SynthiaDataset",
    data_root="data/synthia",
    pipeline=[
        dict(type="LoadImage"),
        dict(type="LoadLabel"),
        dict(type="Resize", scale=(1280, 760)),
        dict(type="RandomCrop", crop_size=(512, 512), cat_max_ratio=0.75),
        dict(type="RandomFlip", prob=0.5),
        dict(type="Pad", size=(512, 512)),
        dict(type="PackInputs"),
    ],
)
synthia_evaluator = dict(type="IoUMetric", class_subsets=("16", "13"))
