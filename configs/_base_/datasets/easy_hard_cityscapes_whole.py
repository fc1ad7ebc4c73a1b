# Easy and hard images of Cityscapes, whole, 1024x512, as IntraDA: the easy ones have labels.
_base_ = ["./parts/whole_images.py"]
train_dataloader = dict(dataset=dict(type="EasyHardDataset", target=_base_.cityscapes_target))
rounds = dict(images=dict(_base_.cityscapes_target, test_mode=True), flip=False, scales=[1.0])
