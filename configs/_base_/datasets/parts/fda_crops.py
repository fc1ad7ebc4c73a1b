# How FDA sees images: resized to a fixed size by Pillow's bicubic filter, source images in random crops of
# the size of the target's; tests at 1344x576.
_base_ = ["./whole_images.py"]
labelled = [dict(type="LoadImage"), dict(type="LoadLabel")]
resize = dict(type="Resize", keep_ratio=False, interpolation="bicubic", backend="pillow")
crop = [dict(type="RandomCrop", crop_size=(512, 1024)), dict(type="PackInputs")]
gta_crops = dict(_base_.gta_train, pipeline=[*labelled, dict(resize, scale=(1280, 720)), *crop])
synthia_crops = dict(_base_.synthia_train, pipeline=[*labelled, dict(resize, scale=(1280, 760)), *crop])
cityscapes_val = dict(
    pipeline=[
        dict(type="LoadImage"),
        dict(resize, scale=(1344, 576)),
        dict(type="LoadLabel"),  # behind Resize: predictions are scored at the size of the label
        dict(type="PackInputs"),
    ],
)
val_dataloader = dict(dataset=dict(pipeline=cityscapes_val["pipeline"]))
test_dataloader = val_dataloader
del labelled, resize, crop
