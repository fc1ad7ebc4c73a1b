# DeepLabV3+: dilated ResNet-50, separable pyramid refined with the first level (ECCV 2018).
_base_ = ["parts/resnet50_v1c.py"]
model = dict(
    decode_head=dict(
        type="DepthwiseSeparableASPPHead",
        in_channels=2048,
        in_index=3,
        channels=512,
        dilations=(1, 12, 24, 36),
        c1_in_channels=256,
        c1_channels=48,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )
)
