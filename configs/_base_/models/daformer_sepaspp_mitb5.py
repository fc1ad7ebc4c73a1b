# DAFormer: MiT-B5 encoder, decoder with depthwise-separable ASPP fusion (CVPR 2022, section 3.2).
_base_ = ["parts/mit_b5.py"]
model = dict(
    decode_head=dict(
        type="DAFormerHead",
        channels=256,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        decoder_params=dict(
            embed_dims=256,
            embed_cfg=dict(type="mlp"),
            embed_neck_cfg=dict(type="mlp"),
            fusion_cfg=dict(
                type="aspp",
                sep=True,
                dilations=(1, 6, 12, 18),
                pool=False,
                act_cfg=dict(type="ReLU"),
                norm_cfg=_base_.norm_cfg,
            ),
        ),
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )
)
