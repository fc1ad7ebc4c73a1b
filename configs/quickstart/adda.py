# ADDA of class scores on the toy pair.
#
#   python tools/train.py configs/quickstart/adda.py --load-from CKPT
_base_ = ["toy_adaptation.py", "../_base_/uda/adda.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
uda = dict(patience=None)  # so short a run does not end early for want of a suitable discriminator
# As published the discriminator learns as the student does; there by SGD at a hundredth of the rate of
# source-only training, here by the student's AdamW.
other_networks = dict(
    discriminator=dict(
        optim_wrapper=dict(optimizer=dict(_delete_=True, type="AdamW", lr=1e-3, weight_decay=0.01)),
        param_scheduler=_base_.param_scheduler,
    )
)
