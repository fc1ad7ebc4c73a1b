# DAFormer's self-training: DACS, rare class sampling and feature distance.
_base_ = ["dacs_fd.py"]
train_dataloader = dict(
    dataset=dict(rare_class_sampling=dict(min_pixels=257, class_temp=0.01, min_crop_ratio=0.5))
)
