# ResNet-50 with a stem of three 3x3 convolutions and dilated last stages: all networks *_r50-d8 start here.
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    pretrained="open-mmlab://resnet50_v1c",
    backbone=dict(type="TimmBackbone", name="resnet50c", output_stride=8),
    test_cfg=dict(mode="whole"),
)
