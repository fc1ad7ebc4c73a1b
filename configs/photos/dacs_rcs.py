# DACS with rare class sampling. 3000 pixels of GTA's 1914x1052 are 257 of 480x360.
_base_ = ["dacs.py"]
train_dataloader = dict(
    dataset=dict(rare_class_sampling=dict(min_pixels=257, class_temp=0.01, min_crop_ratio=0.5))
)
