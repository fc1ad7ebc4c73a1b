# FCN: dilated ResNet-50, two convolutions merged with their input (CVPR 2015).
_base_ = ["parts/resnet50_v1c.py"]
model = dict(
    decode_head=dict(
        type="FCNHead",
        in_channels=2048,
        in_index=3,
        channels=512,
        num_convs=2,
        concat_input=True,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )
)
