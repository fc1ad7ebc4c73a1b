# SegFormer: MiT-B5 encoder, all-MLP decoder (NeurIPS 2021).
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    pretrained="pretrained/mit_b5.pth",
    backbone=dict(type="mit_b5"),
    decode_head=dict(
        type="SegFormerHead",
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        channels=128,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=norm_cfg,
        decoder_params=dict(embed_dim=768),
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    test_cfg=dict(mode="whole"),
)
