# MiT-B5 whose four levels the decoder takes: DAFormer, SegFormer and UPerNet start here.
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    pretrained="pretrained/mit_b5.pth",
    backbone=dict(type="mit_b5"),
    decode_head=dict(in_channels=[64, 128, 320, 512], in_index=[0, 1, 2, 3]),
    test_cfg=dict(mode="whole"),
)
