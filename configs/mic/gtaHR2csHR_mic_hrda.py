# MIC with HRDA on GTA -> Cityscapes (Hoyer et al., CVPR 2023).
#
#   python run_experiments.py --config configs/mic/gtaHR2csHR_mic_hrda.py
#
# Needs   data/gta, data/cityscapes (converted, see README) and pretrained/mit_b5.pth.
# Paper   75.9 mIoU, mean of three seeds. Not reproduced here yet: that takes the real data and a GPU.
_base_ = ["../hrda/gtaHR2csHR_hrda.py"]
# Masked image consistency on target images: 70 % of the blocks of 64x64 pixels are hidden.
uda = dict(
    masking=dict(
        mask_mode="separatetrgaug",
        mask_lambda=1,
        mask_generator=dict(mask_ratio=0.7, mask_block_size=64),
    )
)
randomness = dict(seed=2)
name = "gtaHR2csHR_mic_hrda_s2"
name_uda = "dacs_a999_fdthings_rcs0.01-2.0_cpl2_m64-0.7-spta"
