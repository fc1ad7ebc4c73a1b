# PSPNet: dilated ResNet-50, pyramid pooling (CVPR 2017).
_base_ = ["parts/resnet50_v1c.py"]
model = dict(
    decode_head=dict(
        type="PSPHead",
        in_channels=2048,
        in_index=3,
        channels=512,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )
)
