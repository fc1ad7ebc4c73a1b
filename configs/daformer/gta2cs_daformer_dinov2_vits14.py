# DAFormer's decoder and self-training on a foundation model: DINOv2, a plain vision transformer (ViT-S/14).
#
#   python run_experiments.py --config configs/daformer/gta2cs_daformer_dinov2_vits14.py
#
# Needs   data/gta and data/cityscapes (see docs/datasets.md); timm fetches the weights. No published result.
_base_ = ["gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py"]
model = dict(
    pretrained="timm",  # or a file with these weights, e.g. pretrained/vit_small_patch14_dinov2.safetensors
    backbone=dict(
        _delete_=True, type="TimmBackbone", name="vit_small_patch14_dinov2.lvd142m", drop_path_rate=0.1
    ),
    neck=dict(type="ViTPyramid"),  # maps of stride 14 to strides 3.5, 7, 14 and 28
    decode_head=dict(in_channels=None),  # those of the encoder
)
optim_wrapper = dict(paramwise_cfg=dict(custom_keys=dict(neck=dict(lr_mult=10.0))))  # new, like the head
name = "gta2cs_daformer_dinov2_vits14_s0"
name_architecture = "daformer_sepaspp_dinov2_vits14"
name_encoder = "dinov2_vits14"
