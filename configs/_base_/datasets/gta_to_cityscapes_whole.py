# Source only: trained on whole images of GTA, 1280x720, tested on Cityscapes, as AdaptSegNet's baseline.
_base_ = ["./parts/whole_images.py"]
train_dataloader = dict(dataset=_base_.gta_train)
