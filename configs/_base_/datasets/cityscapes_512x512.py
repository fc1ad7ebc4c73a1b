# Target only (oracle): trained on labelled Cityscapes with photometric augmentation, crops of 512x512.
_base_ = ["./parts/loaders.py", "./parts/cityscapes_512x512.py"]
*crop_and_flip, pad, pack = _base_.cityscapes_train.pipeline
pipeline = [*crop_and_flip, dict(type="PhotoMetricDistortion"), pad, pack]
train_dataloader = dict(dataset=dict(_base_.cityscapes_train, pipeline=pipeline))
val_dataloader = dict(dataset=_base_.cityscapes_val)
test_dataloader = val_dataloader
del crop_and_flip, pad, pack, pipeline
