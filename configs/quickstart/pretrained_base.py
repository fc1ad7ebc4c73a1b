# What runs on the toy street scenes share when ImageNet weights are there (extra "photos"): those of
# EfficientNet-Lite0, from which less training is needed than from random weights. Settings are
# those of configs/photos.
_base_ = ["toy_base.py"]
model = dict(
    pretrained="tf_efficientnet_lite0",
    backbone=dict(_delete_=True, type="TimmBackbone", name="tf_efficientnet_lite0"),
    decode_head=dict(in_channels=[24, 40, 112, 320]),
)
optim_wrapper = dict(
    optimizer=dict(lr=6e-4),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0)), norm_decay_mult=0.0),
)
param_scheduler = [
    dict(type="PolyWarmupLR", by_epoch=False, power=1.0, min_lr=0.0, warmup_iters=19, warmup_ratio=1e-6)
]
train_cfg = dict(max_iters=500, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=250))
