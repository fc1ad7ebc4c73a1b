# DeepLabV2 on ResNet-101 as released with AdaptSegNet (Tsai et al., CVPR 2018): a second output on the third
# stage, and of the four branches of a classifier the first two summed.
_base_ = ["deeplabv2_advent_r101.py"]
model = dict(decode_head=dict(num_summed=2), auxiliary_head=dict(num_summed=2))
