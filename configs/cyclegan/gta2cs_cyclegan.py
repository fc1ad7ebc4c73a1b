# CycleGAN (Zhu et al., ICCV 2017) on GTA -> Cityscapes: generators that give images of GTA the look of
# Cityscapes, the first stage of CyCADA (Hoffman et al., ICML 2018). No segmentation is trained here.
#
#   python tools/train.py configs/cyclegan/gta2cs_cyclegan.py
#   python tools/translate.py configs/cyclegan/gta2cs_cyclegan.py CKPT --out data/gta/images_cyclegan
#
# Needs   data/gta, data/cityscapes (converted, see README).
# Result  the images of data/gta/images in the look of Cityscapes; labels stay as they are, and a run of
#         segmentation names the new folder (train_dataloader.dataset.source.img_dir). There is no score: look
#         at the pictures in WORK_DIR/debug. Not trained here yet: that takes the real data and a GPU.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/translate_gta_to_cityscapes_400x400.py",
    "../_base_/uda/cyclegan.py",
]
# As CyCADA's authors are quoted: an epoch has the 24 966 images of GTA, 10 + 10 epochs with the identity loss
# at full weight. The published rate falls after each epoch; by default it falls after each iteration.
epoch = 24966
uda = dict(lambda_identity=1.0)
schedule = [dict(type="LinearToZeroLR", by_epoch=False, constant_iters=10 * epoch, period=epoch)]
other_networks = dict(
    generator=dict(param_scheduler=schedule),
    discriminator=dict(param_scheduler=schedule),
)
train_cfg = dict(max_iters=20 * epoch)
default_hooks = dict(checkpoint=dict(interval=10_000))
name = "gta2cs_cyclegan_s0"
del epoch, schedule
