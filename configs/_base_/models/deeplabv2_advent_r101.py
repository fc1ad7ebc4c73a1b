# DeepLabV2 on ResNet-101 as released with ADVENT (Vu et al., CVPR 2019): a second output on the third stage.
_base_ = ["parts/deeplab_resnet101.py"]
model = dict(
    auxiliary_head=dict(
        type="DLV2Head",
        in_channels=1024,
        in_index=2,
        dilations=(6, 12, 18, 24),
        num_classes=19,
        align_corners=True,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=0.1, avg_non_ignore=True),
    ),
    published_names=dict(layer5="auxiliary_head", layer6="decode_head"),
)
