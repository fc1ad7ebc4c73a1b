# DAFormer decoder with ordinary dilated convolutions in the ASPP fusion (ablation of the DAFormer paper).
_base_ = ["daformer_sepaspp_mitb5.py"]
model = dict(decode_head=dict(decoder_params=dict(fusion_cfg=dict(sep=False))))
