# DRN-26 (Yu et al., CVPR 2017) with a linear classifier, the second network of CyCADA. ImageNet weights:
# http://dl.yf.io/drn/drn_c_26-ddedf421.pth
model = dict(
    type="EncoderDecoder",
    pretrained="pretrained/drn_c_26-ddedf421.pth",
    backbone=dict(type="DRN"),
    decode_head=dict(
        type="FCNHead",
        in_channels=512,
        in_index=3,
        channels=512,
        num_convs=0,
        concat_input=False,
        dropout_ratio=0,
        num_classes=19,
        align_corners=True,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0, avg_non_ignore=True),
    ),
    test_cfg=dict(mode="whole"),
    published_names=dict(fc="decode_head.conv_seg"),
)
