# The schedule of everything that starts from source-only weights: shorter, with half the rate.
_base_ = ["toy_base.py"]
optim_wrapper = dict(optimizer=dict(lr=1e-3))
train_cfg = dict(max_iters=600, val_interval=300)
default_hooks = dict(checkpoint=dict(interval=300))
