# AdaptSegNet (Tsai et al., CVPR 2018) on GTA -> Cityscapes, with the settings of its authors.
#
#   python run_experiments.py --config configs/adaptsegnet/gta2cs_adaptsegnet_dlv2_r101.py
#
# Needs   data/gta, data/cityscapes (converted, see README) and the weights of the encoder, see
#         configs/_base_/models/parts/deeplab_resnet101.py.
# Paper   42.4 mIoU, the best checkpoint of a run; not checked in the paper itself. Not reproduced here yet:
#         that takes the real data and a GPU.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/uda_gta_to_cityscapes_whole.py",
    "../_base_/models/deeplabv2_adaptsegnet_r101.py",
    "../_base_/schedules/sgd_deeplabv2.py",
    "../_base_/uda/adaptsegnet.py",
]
# The authors' optimizer lists the convolutions of the encoder three or four times, so that they learn faster
# than the rate says; leave out both lines for one step each.
optim_wrapper = dict(
    optimizer=dict(type="LegacySGD"),
    paramwise_cfg=dict(published_duplicate_parameters="backbone.network."),
)
train_cfg = dict(max_iters=150000)
name = "gta2cs_adaptsegnet_dlv2_r101_s0"
