# UDA from Synthia to Cityscapes on whole images of random resolution, mirrored at random, as CLAN.
_base_ = ["./parts/whole_images.py"]
train_dataloader = dict(
    dataset=dict(
        type="UDADataset",
        source=_base_.synthia_train_resolutions,
        target=_base_.cityscapes_target_resolutions,
    )
)
val_evaluator = _base_.synthia_evaluator
test_evaluator = val_evaluator
