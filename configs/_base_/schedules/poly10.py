# Without warm-up. As published, the final rate 1e-4 lies above the encoder's base rate 6e-5, which therefore
# rises.
param_scheduler = [dict(type="PolyWarmupLR", by_epoch=False, power=1.0, min_lr=1e-4, warmup_iters=0)]
