# UPerNet: MiT-B5 encoder, feature pyramid with pyramid pooling (ECCV 2018; ablation of the DAFormer paper).
_base_ = ["parts/mit_b5.py"]
model = dict(
    decode_head=dict(
        type="UPerHead",
        channels=512,
        pool_scales=(1, 2, 3, 6),
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=_base_.norm_cfg,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0),
    )
)
