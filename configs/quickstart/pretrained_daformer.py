# DAFormer on the toy pair from ImageNet weights, as published: the feature distance holds on to them.
#
#   python tools/train.py configs/quickstart/pretrained_daformer.py
_base_ = ["pretrained_base.py", "../_base_/uda/dacs_fdthings.py"]
train_dataloader = dict(
    dataset=dict(
        type="UDADataset",
        source=_base_.gta_source,
        target=_base_.cityscapes_target,
        rare_class_sampling=dict(min_pixels=200, class_temp=0.01, min_crop_ratio=0.5),
    )
)
