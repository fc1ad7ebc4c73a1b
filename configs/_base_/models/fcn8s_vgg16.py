# FCN-8s on VGG-16 (Long et al., CVPR 2015) as in CyCADA and its ADDA: weights and input of torchvision.
_base_ = ["fcn8s_bdl_vgg16.py"]
model = dict(
    pretrained="pretrained/vgg16-397923af.pth",
    data_preprocessor=dict(_delete_=True, type="SegDataPreprocessor"),
    published_names={
        "_delete_": True,
        "vgg": "backbone.features",
        "vgg_head.0": "backbone.fc6",
        "vgg_head.3": "backbone.fc7",
        "vgg_head.6": "decode_head.conv_seg",
        "score_pool3": "decode_head.score_pool3",
        "score_pool4": "decode_head.score_pool4",
        "upscore2": "decode_head.upscore2",
        "upscore_pool4": "decode_head.upscore_pool4",
        "upscore8": "decode_head.upscore8",
    },
)
