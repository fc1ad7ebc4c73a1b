# DeepLabV3: dilated ResNet-50, atrous spatial pyramid pooling (arXiv:1706.05587).
_base_ = ["parts/resnet50_v1c.py"]
model = dict(
    decode_head=dict(
        type="ASPPHead",
        in_channels=2048,
        in_index=3,
        channels=512,
        dilations=(1, 12, 24, 36),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )
)
