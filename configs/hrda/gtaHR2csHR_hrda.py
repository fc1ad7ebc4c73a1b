# HRDA on GTA -> Cityscapes (Hoyer et al., ECCV 2022).
#
#   python run_experiments.py --config configs/hrda/gtaHR2csHR_hrda.py
#
# Needs   data/gta, data/cityscapes (converted, see README) and pretrained/mit_b5.pth.
# Paper   73.8 mIoU, mean of three seeds. Not reproduced here yet: that takes the real data and a GPU.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/models/hrda_daformer_sepaspp_mitb5.py",
    "../_base_/datasets/uda_gtaHR_to_cityscapesHR_1024x1024.py",
    "../_base_/uda/dacs_a999_fdthings.py",
    "../_base_/schedules/adamw_mit.py",
    "../_base_/schedules/poly10warm.py",
]
train_dataloader = dict(
    num_workers=1,
    dataset=dict(
        # no pseudo-labels on the bonnet and the rectification artefacts: top, bottom, left, right margin
        target=dict(crop_pseudo_margins=[30, 240, 30, 30]),
        # min_crop_ratio: 0.5 of a 512x512 crop of DAFormer is 2.0 at four times the pixels
        rare_class_sampling=dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=2.0),
    ),
)
randomness = dict(seed=1)
exp = "basic"
name = "gtaHR2csHR_hrda_s1"
name_dataset = "gtaHR2cityscapesHR_1024x1024"
name_architecture = "hrda1-512-0.1_daformer_sepaspp_sl_mitb5"
name_encoder = "mitb5"
name_decoder = "hrda1-512-0.1_daformer_sepaspp_sl"
name_uda = "dacs_a999_fdthings_rcs0.01-2.0_cpl2"
name_opt = "adamw_6e-05_pmTrue_poly10warm_1x2_40k"
