# DANet: dilated ResNet-50, attention over positions and over channels (CVPR 2019).
_base_ = ["parts/resnet50_v1c.py"]
model = dict(
    decode_head=dict(
        type="DAHead",
        in_channels=2048,
        in_index=3,
        channels=512,
        pam_channels=64,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )
)
