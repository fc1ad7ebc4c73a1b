# SegFormer: MiT-B5 encoder, all-MLP decoder (NeurIPS 2021).
_base_ = ["parts/mit_b5.py"]
model = dict(
    decode_head=dict(
        type="SegFormerHead",
        channels=128,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        decoder_params=dict(embed_dim=768),
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )
)
