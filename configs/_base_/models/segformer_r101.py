# The decoder of SegFormer on a dilated ResNet-101.
_base_ = ["segformer_b5.py"]
model = dict(
    pretrained="open-mmlab://resnet101_v1c",
    backbone=dict(_delete_=True, type="TimmBackbone", name="resnet101c", output_stride=8),
    decode_head=dict(in_channels=[256, 512, 1024, 2048]),
)
