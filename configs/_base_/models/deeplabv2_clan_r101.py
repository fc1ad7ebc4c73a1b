# DeepLabV2 on ResNet-101 as released with CLAN (Luo et al., CVPR 2019): two classifiers of the last stage,
# whose logits are summed in a test.
_base_ = ["deeplabv2_advent_r101.py"]
model = dict(
    auxiliary_head=dict(in_channels=2048, in_index=3, loss_decode=dict(loss_weight=1.0)),
    sum_outputs=True,
)
