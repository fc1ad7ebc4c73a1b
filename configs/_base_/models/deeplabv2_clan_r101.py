# DeepLabV2 on ResNet-101 as released with CLAN (Luo et al., CVPR 2019): two classifiers of the last stage,
# whose logits are summed in a test. Both learn by a focal loss in the code, by cross entropy in the paper.
_base_ = ["deeplabv2_advent_r101.py"]
model = dict(
    decode_head=dict(loss_decode=dict(_delete_=True, type="FocalLoss")),
    auxiliary_head=dict(in_channels=2048, in_index=3, loss_decode=dict(_delete_=True, type="FocalLoss")),
    sum_outputs=True,
)
