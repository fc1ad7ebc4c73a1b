# HRDA: DAFormer's training with a large context and a detail crop.
_base_ = ["daformer.py"]
crop_size = (320, 320)
train_dataloader = dict(
    dataset=dict(
        source=dict(
            pipeline=[
                dict(type="LoadImage"),
                dict(type="LoadLabel"),
                dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
                dict(type="RandomFlip", prob=0.5),
                dict(type="PackInputs"),
            ]
        ),
        target=dict(
            pipeline=[
                dict(type="LoadImage"),
                dict(type="RandomCrop", crop_size=crop_size),
                dict(type="RandomFlip", prob=0.5),
                dict(type="PackInputs"),
            ]
        ),
        rare_class_sampling=dict(min_crop_ratio=2.0),  # four times the pixels of DAFormer's crop
    )
)
model = dict(
    type="HRDAEncoderDecoder",
    scales=[1, 0.5],
    hr_crop_size=(160, 160),
    feature_scale=0.5,
    crop_coord_divisible=8,
    hr_slide_inference=True,
    decode_head=dict(
        type="HRDAHead", single_scale_head="DAFormerHead", attention_classwise=True, hr_loss_weight=0.1
    ),
    test_cfg=dict(mode="slide", batched_slide=True, crop_size=crop_size, stride=(160, 160)),
)
