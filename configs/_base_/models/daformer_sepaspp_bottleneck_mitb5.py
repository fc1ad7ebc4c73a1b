# DAFormer decoder whose ASPP sees only the last level, upsampled to stride 4
# (ablation of the DAFormer paper).
_base_ = ["daformer_conv1_mitb5.py"]
model = dict(
    neck=dict(type="SegFormerAdapter", scales=[8]),
    decode_head=dict(
        decoder_params=dict(
            embed_neck_cfg=dict(
                type="rawconv_and_aspp",
                kernel_size=1,
                sep=True,
                dilations=(1, 6, 12, 18),
                pool=False,
                act_cfg=dict(type="ReLU"),
                norm_cfg=_base_.norm_cfg,
            )
        )
    ),
)
