# How CRST and its successors see images in self-training by rounds: at full resolution, at a random scale, in
# crops that prefer rare classes of the target's labels, mirrored at random. Which crops, say the files that
# build on this one.
_base_ = ["./loaders.py"]
gta = dict(type="GTADataset", data_root="data/gta")
synthia = dict(type="SynthiaDataset", data_root="data/synthia")
synthia_evaluator = dict(type="IoUMetric", class_subsets=("16", "13"))
cityscapes_target = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/train",
    load_labels=False,
)
labelled = [dict(type="LoadImage"), dict(type="LoadLabel")]
gta_size = dict(type="Resize", scale=(1914, 1052), keep_ratio=False)
synthia_size = dict(type="Resize", scale=(2048, 1024), keep_ratio=False)
# Of source-only training.
crops_500 = [
    dict(type="RandomScale", low=0.5, high=1.5),
    dict(type="RandomCrop", crop_size=(500, 500)),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=(500, 500)),
    dict(type="PackInputs"),
]
# The images that a round labels; their predictions have the size of the file.
cityscapes_images = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    img_dir="leftImg8bit/train",
    load_labels=False,
    test_mode=True,
    pipeline=[dict(type="LoadImage"), dict(type="PackInputs")],
)
val_dataloader = dict(
    dataset=dict(
        type="CityscapesDataset",
        data_root="data/cityscapes",
        img_dir="leftImg8bit/val",
        ann_dir="gtFine/val",
        test_mode=True,
        pipeline=[dict(type="LoadImage"), dict(type="LoadLabel"), dict(type="PackInputs")],
    )
)
test_dataloader = val_dataloader
