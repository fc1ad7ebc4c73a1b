# DAFormer on GTA -> Cityscapes (Hoyer et al., CVPR 2022).
#
#   python run_experiments.py --config \
#       configs/daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py
#
# Needs   data/gta, data/cityscapes (converted, see README) and pretrained/mit_b5.pth.
# Paper   68.3 mIoU, mean of three seeds. Not reproduced here yet: that takes the real data and a GPU.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/daformer_sepaspp_mitb5.py",
    "../_base_/datasets/uda_gta_to_cityscapes_512x512.py",
    "../_base_/uda/dacs_a999_fdthings.py",
    "../_base_/schedules/adamw_mit.py",
    "../_base_/schedules/poly10warm.py",
]
# Bonnet and rectification artefacts of Cityscapes get no pseudo-labels.
uda = dict(pseudo_weight_ignore_top=15, pseudo_weight_ignore_bottom=120)
# Rare class sampling (sec. 3.3).
train_dataloader = dict(
    dataset=dict(rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=0.5))
)
randomness = dict(seed=0)
# Meta information for the results table.
exp = "basic"
name = "gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0"
name_dataset = "gta2cityscapes"
name_architecture = "daformer_sepaspp_mitb5"
name_encoder = "mitb5"
name_decoder = "daformer_sepaspp"
name_uda = "dacs_a999_fd_things_rcs0.01_cpl"
name_opt = "adamw_6e-05_pmTrue_poly10warm_1x2_40k"
