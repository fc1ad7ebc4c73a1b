# VGG-16 as dilated "front end" (Yu and Koltun, ICLR 2016, section 4) with a linear classifier: the network of
# "FCNs in the Wild" (Hoffman et al., 2016).
_base_ = ["parts/caffe_vgg16.py"]
model = dict(
    backbone=dict(type="DilatedVGG16"),
    decode_head=dict(
        type="FCNHead",
        in_channels=4096,
        in_index=3,
        channels=4096,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        align_corners=True,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0, avg_non_ignore=True),
    ),
)
