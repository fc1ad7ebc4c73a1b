# CycleGAN on the toy pair: generators that give images of the game the look of the camera, and back. Small
# networks; the identity loss keeps colours that need not change.
#
#   python tools/train.py configs/quickstart/cyclegan.py
#   python tools/translate.py configs/quickstart/cyclegan.py CKPT --out data/toy/gta/images_cyclegan
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/parts/loaders.py",
    "../_base_/uda/cyclegan.py",
    "toy_data.py",
]
train_dataloader = dict(
    batch_size=1,
    num_workers=1,
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target),
)
uda = dict(
    generator=dict(blocks=6, channels=16),
    discriminator=dict(channels=32),
)
train_cfg = dict(max_iters=2000, val_interval=2000)
default_hooks = dict(checkpoint=dict(interval=500), logger=dict(interval=20))
custom_hooks = [dict(type="DebugPicturesHook", interval=200)]
env_cfg = dict(cudnn_benchmark=False)
