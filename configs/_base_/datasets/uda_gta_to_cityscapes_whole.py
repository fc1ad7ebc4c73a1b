# UDA from GTA to Cityscapes on whole images, 1280x720 and 1024x512, as AdaptSegNet and its successors.
_base_ = ["./parts/whole_images.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_train, target=_base_.cityscapes_target)
)
