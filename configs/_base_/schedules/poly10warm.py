# Linear warm-up over 1500 iterations (DAFormer sec. 3.3), then linear decay to 0.
param_scheduler = [
    dict(type="PolyWarmupLR", by_epoch=False, power=1.0, min_lr=0.0, warmup_iters=1500, warmup_ratio=1e-6)
]
