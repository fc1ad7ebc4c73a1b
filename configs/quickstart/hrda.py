# HRDA on the toy pair: DAFormer's training with a large context and a detail crop.
#
#   python run_experiments.py --exp 0
#
# starts it from the source-only weights of the same seed: encoder and head, which both scales share, are
# trained already, the scale attention is new.
_base_ = ["daformer.py"]
crop_size = (256, 256)  # the height of an image; 1024 of 1024 in the paper
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
    )
)
model = dict(
    type="HRDAEncoderDecoder",
    scales=[1, 0.5],  # the context of 256x256 is seen as 128x128 pixels, what the source-only crops had
    hr_crop_size=(128, 128),  # the detail, at full resolution
    feature_scale=0.5,
    crop_coord_divisible=8,
    hr_slide_inference=True,
    decode_head=dict(
        type="HRDAHead", single_scale_head="DAFormerHead", attention_classwise=True, hr_loss_weight=0.1
    ),
    test_cfg=dict(mode="slide", batched_slide=True, crop_size=crop_size, stride=(128, 128)),
)
