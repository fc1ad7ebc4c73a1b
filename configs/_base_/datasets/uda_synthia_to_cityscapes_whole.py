# UDA from Synthia to Cityscapes on whole images, 1280x760 and 1024x512, as AdaptSegNet and its successors.
_base_ = ["./parts/whole_images.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.synthia_train, target=_base_.cityscapes_target)
)
val_evaluator = _base_.synthia_evaluator
test_evaluator = val_evaluator
