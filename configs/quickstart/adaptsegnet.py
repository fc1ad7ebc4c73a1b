# AdaptSegNet on the toy pair: a discriminator of class probabilities.
#
#   python tools/train.py configs/quickstart/adaptsegnet.py --load-from CKPT
_base_ = ["toy_adaptation.py", "../_base_/uda/adaptsegnet.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
# The rate of the discriminator follows that of the student, as published. Published are 1e-4 here and 6e-5
# with AdamW for the student (DAFormer), whose rate is 1e-3 on the toy pair.
other_networks = dict(
    discriminator=dict(
        optim_wrapper=dict(optimizer=dict(lr=1e-3 * 1e-4 / 6e-5)), param_scheduler=_base_.param_scheduler
    )
)
