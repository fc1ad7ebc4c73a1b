# FCNs in the Wild on the toy pair: global alignment of the last features. The sizes of classes are those of
# whole images, which these crops are not, so that they are not constrained.
#
#   python tools/train.py configs/quickstart/fcns_in_the_wild.py --load-from CKPT
_base_ = ["toy_adaptation.py", "../_base_/uda/fcns_in_the_wild.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
uda = dict(ramp_iters=72)  # 1200 of 10 000
other_networks = dict(  # ten times the rate of the student
    discriminator=dict(optim_wrapper=dict(optimizer=dict(lr=1e-2)), param_scheduler=_base_.param_scheduler)
)
