# Supervised training on whole Cityscapes images of 1024x512, the oracle of AdaptSegNet and its successors.
# Scores over the classes that Synthia has are written as well.
_base_ = ["./parts/whole_images.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.cityscapes_train, target=_base_.cityscapes_target)
)
val_evaluator = dict(class_subsets=("16", "13"))
test_evaluator = val_evaluator
