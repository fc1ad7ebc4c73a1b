# DeepLabV2 on ResNet-101 as released with CRST (Zou et al., ICCV 2019): one output, of whose four branches
# all are summed, and images normalised as torchvision does, red first.
_base_ = ["parts/deeplab_resnet101.py"]
model = dict(
    pretrained="https://download.pytorch.org/models/resnet101-5d3b4d8f.pth",
    data_preprocessor=dict(mean=(123.675, 116.28, 103.53), std=(58.395, 57.12, 57.375), rgb_to_bgr=False),
    published_names=dict(layer5="decode_head"),
)
