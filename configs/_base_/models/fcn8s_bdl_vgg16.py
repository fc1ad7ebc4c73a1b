# FCN-8s on VGG-16 (Long et al., CVPR 2015) as in BDL and later works on VGG: weights and input of Caffe.
_base_ = ["parts/caffe_vgg16.py"]
model = dict(
    backbone=dict(type="FCNVGG16"),
    decode_head=dict(
        type="FCN8sHead",
        in_channels=(3, 256, 512, 4096),
        channels=4096,
        num_classes=19,
        align_corners=True,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0, avg_non_ignore=True),
    ),
    published_names=dict(
        score_fr="decode_head.conv_seg",
        score_pool3="decode_head.score_pool3",
        score_pool4="decode_head.score_pool4",
        upscore2="decode_head.upscore2",
        upscore_pool4="decode_head.upscore_pool4",
        upscore8="decode_head.upscore8",
    ),
)
