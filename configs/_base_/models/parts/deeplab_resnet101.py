# What the methods on DeepLabV2 with ResNet-101 share (AdaptSegNet, ADVENT, CLAN): weights converted from
# Caffe, which take BGR values without division by a standard deviation; norms whose scale and shift stay as
# they are; logits resized with aligned corners, in a test once.
# The weights (ImageNet, then MS-COCO) come from
# http://vllab.ucmerced.edu/ytsai/CVPR18/DeepLab_resnet_pretrained_init-f81d91e8.pth
model = dict(
    type="EncoderDecoder",
    pretrained="pretrained/DeepLab_resnet_pretrained_init-f81d91e8.pth",
    data_preprocessor=dict(
        type="SegDataPreprocessor",
        mean=(104.00698793, 116.66876762, 122.67891434),
        std=(1.0, 1.0, 1.0),
        rgb_to_bgr=True,
    ),
    backbone=dict(type="DeepLabResNet", name="resnet101"),
    frozen_norm_affine=True,
    decode_head=dict(
        type="DLV2Head",
        in_channels=2048,
        in_index=3,
        dilations=(6, 12, 18, 24),
        num_classes=19,
        align_corners=True,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0, avg_non_ignore=True),
    ),
    test_cfg=dict(mode="whole", resize_once=True),
)
