# DeepLabV2 with two dilations only, as UDA methods on ResNet-101 use it since AdaptSegNet.
_base_ = ["deeplabv2_r50-d8.py"]
model = dict(decode_head=dict(dilations=(6, 12)))
