# AdaptSegNet: a discriminator of class probabilities.
_base_ = ["photo_base.py", "../_base_/uda/adaptsegnet.py"]
train_dataloader = dict(dataset=dict(type="UDADataset", source=_base_.source, target=_base_.target))
# The rate of the discriminator follows that of the student, as published. Published are 1e-4 here and 6e-5
# with AdamW for the student (DAFormer), whose rate is 6e-4 on photographs.
other_networks = dict(
    discriminator=dict(optim_wrapper=dict(optimizer=dict(lr=1e-3)), param_scheduler=_base_.param_scheduler)
)
