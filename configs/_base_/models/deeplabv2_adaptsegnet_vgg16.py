# DeepLabV2 on VGG-16 as released with AdaptSegNet (Tsai et al., CVPR 2018): no norms, no dropout, one output,
# of whose four branches the first two are summed.
_base_ = ["parts/caffe_vgg16.py"]
model = dict(
    backbone=dict(type="DilatedVGG16", channels=1024, fc6_kernel=3, fc7_kernel=3, dropout_ratio=0.0),
    decode_head=dict(
        type="DLV2Head",
        in_channels=1024,
        in_index=3,
        dilations=(6, 12, 18, 24),
        num_summed=2,
        num_classes=19,
        align_corners=True,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0, avg_non_ignore=True),
    ),
    published_names={
        "features.29": "backbone.fc6",
        "features.31": "backbone.fc7",
        "classifier": "decode_head",
    },
)
