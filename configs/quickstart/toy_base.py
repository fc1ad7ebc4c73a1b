# What all runs on the toy street scenes share: a small network, small crops, short schedules for two CPU
# cores.
#
#   python tools/make_toy_dataset.py data/toy && python tools/convert_datasets/gta.py data/toy/gta && ...
#   (make quickstart does all of it)
#
# The decoder is narrow (64 instead of 256 channels) and training starts from random weights; ImageNet weights
# are not needed. Numbers on toy data compare methods with each other, not with the papers.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/daformer_sepaspp_mitb5.py",
    "../_base_/schedules/adamw_mit.py",
    "../_base_/datasets/parts/loaders.py",
    "toy_data.py",
]
train_dataloader = dict(num_workers=1)
val_dataloader = dict(num_workers=1, dataset=_base_.cityscapes_val)
test_dataloader = val_dataloader
model = dict(
    pretrained=None,
    backbone=dict(type="mit_b0", drop_path_rate=0.0),
    decode_head=dict(in_channels=None, channels=64, decoder_params=dict(embed_dims=64)),
)
# from scratch: a higher rate and a shorter warm-up than with ImageNet weights
optim_wrapper = dict(
    optimizer=dict(lr=2e-3),
    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=1.0))),
)
param_scheduler = [
    dict(type="PolyWarmupLR", by_epoch=False, power=1.0, min_lr=0.0, warmup_iters=50, warmup_ratio=1e-6)
]
train_cfg = dict(max_iters=1000, val_interval=500)
default_hooks = dict(checkpoint=dict(interval=500), logger=dict(interval=20))
custom_hooks = [dict(type="DebugPicturesHook", interval=200)]
env_cfg = dict(cudnn_benchmark=False)
