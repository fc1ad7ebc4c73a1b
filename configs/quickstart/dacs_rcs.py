# DACS with rare class sampling.
_base_ = ["dacs.py"]
train_dataloader = dict(
    dataset=dict(rare_class_sampling=dict(min_pixels=200, class_temp=0.01, min_crop_ratio=0.5))
)
