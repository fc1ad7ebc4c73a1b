# How CyCADA's feature adaptation (ADDA) sees images: with a height of 1024 pixels, in mirrored crops of
# 768x768. One source and one target image make a batch.
_base_ = ["./loaders.py"]
train_dataloader = dict(batch_size=1)
crop = [
    dict(type="Resize", scale=(2048, 1024)),
    dict(type="RandomCrop", crop_size=(768, 768)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=(768, 768)),
    dict(type="PackInputs"),
]
gta_train = dict(
    type="GTADataset",
    data_root="data/gta",
    pipeline=[dict(type="LoadImage"), dict(type="LoadLabel"), *crop],
)
synthia_train = dict(
    type="SynthiaDataset",
    data_root="data/synthia",
    pipeline=[dict(type="LoadImage"), dict(type="LoadLabel"), *crop],
)
synthia_evaluator = dict(type="IoUMetric", class_subsets=("16", "13"))
cityscapes_target = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/train",
    load_labels=False,
    pipeline=[dict(type="LoadImage"), *crop],
)
cityscapes_val = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/val",
    ann_dir="gtFine/val",
    test_mode=True,
    pipeline=[
        dict(type="LoadImage"),
        dict(type="Resize", scale=(2048, 1024)),
        dict(type="LoadLabel"),  # behind Resize: predictions are scored at the size of the label
        dict(type="PackInputs"),
    ],
)
val_dataloader = dict(dataset=cityscapes_val)
test_dataloader = val_dataloader
del crop
