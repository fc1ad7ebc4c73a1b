# DAFormer decoder with interlaced sparse self-attention as fusion (ablation of the DAFormer paper).
_base_ = ["daformer_sepaspp_mitb5.py"]
model = dict(
    decode_head=dict(
        decoder_params=dict(
            fusion_cfg=dict(
                _delete_=True,
                type="isa",
                isa_channels=256,
                key_query_num_convs=1,
                down_factor=(8, 8),
                act_cfg=dict(type="ReLU"),
                norm_cfg=_base_.norm_cfg,
            )
        )
    )
)
