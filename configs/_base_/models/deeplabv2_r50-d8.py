# DeepLabV2: dilated ResNet-50, sum of four dilated classifiers (TPAMI 2018).
_base_ = ["parts/resnet50_v1c.py"]
model = dict(
    decode_head=dict(
        type="DLV2Head",
        in_channels=2048,
        in_index=3,
        dilations=(6, 12, 18, 24),
        num_classes=19,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )
)
