# Source-only training with as many labelled images as self-training sees images of both domains.
_base_ = ["source_only.py"]
train_cfg = dict(max_iters=2400, val_interval=1200)
