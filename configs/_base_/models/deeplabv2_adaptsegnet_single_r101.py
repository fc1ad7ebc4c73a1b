# DeepLabV2 on ResNet-101 with one output, as AdaptSegNet's baselines and oracle.
_base_ = ["parts/deeplab_resnet101.py"]
model = dict(decode_head=dict(num_summed=2), published_names=dict(layer5="decode_head"))
