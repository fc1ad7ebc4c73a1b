# FCN-8s on VGG-16 with two classifiers of the same features, whose scores are summed in a test: for CLAN
# (Luo et al., CVPR 2019), whose paper names FCN-8s for VGG-16 and whose code has none. Chosen here: each
# classifier is all that scores the three maps, and both learn by the focal loss of the code.
_base_ = ["fcn8s_bdl_vgg16.py"]
model = dict(
    decode_head=dict(loss_decode=dict(_delete_=True, type="FocalLoss")),
    auxiliary_head=dict(
        type="FCN8sHead",
        in_channels=(3, 256, 512, 4096),
        channels=4096,
        num_classes=19,
        align_corners=True,
        loss_decode=dict(type="FocalLoss"),
    ),
    sum_outputs=True,
)
