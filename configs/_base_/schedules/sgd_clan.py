# SGD as of sgd_deeplabv2.py. The rate rises for 5000 iterations; then it is that of a decay over the 100 000
# iterations of the run, as if there had been no rise.
_base_ = ["sgd_deeplabv2.py"]
param_scheduler = [
    dict(
        type="PolyWarmupLR",
        by_epoch=False,
        power=0.9,
        end=100_000,
        warmup_iters=5000,
        warmup_ratio=0.0,
        decay_in_warmup=False,
    )
]
