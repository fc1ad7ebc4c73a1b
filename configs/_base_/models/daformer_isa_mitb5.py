# DAFormer decoder with interlaced sparse self-attention as fusion (ablation of the DAFormer paper).
norm_cfg = dict(type="BN", requires_grad=True)
model = dict(
    type="EncoderDecoder",
    pretrained="pretrained/mit_b5.pth",
    backbone=dict(type="mit_b5"),
    decode_head=dict(
        type="DAFormerHead",
        in_channels=[64, 128, 320, 512],
        in_index=[0, 1, 2, 3],
        channels=256,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=norm_cfg,
        decoder_params=dict(
            embed_dims=256,
            embed_cfg=dict(type="mlp"),
            embed_neck_cfg=dict(type="mlp"),
            fusion_cfg=dict(
                type="isa",
                isa_channels=256,
                key_query_num_convs=1,
                down_factor=(8, 8),
                act_cfg=dict(type="ReLU"),
                norm_cfg=norm_cfg,
            ),
        ),
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    ),
    test_cfg=dict(mode="whole"),
)
