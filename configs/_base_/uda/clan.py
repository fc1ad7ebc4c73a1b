# Category-level adversaries (Luo et al., CVPR 2019), for a network with two classifiers of the same features.
# The rate of the discriminator follows that of the student, see schedules/sgd_clan.py.
uda = dict(
    type="CLAN",
    lambda_adv=0.001,
    lambda_weight=0.01,
    lambda_local=40.0,
    epsilon=0.4,
    global_iters=5000,
    target_size=(512, 1024),  # whatever the resolution of an image
)
other_networks = dict(
    discriminator=dict(
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99))),
        param_scheduler=[
            dict(
                type="PolyWarmupLR",
                by_epoch=False,
                power=0.9,
                end=100_000,
                warmup_iters=5000,
                warmup_ratio=0.0,
                decay_in_warmup=False,
            )
        ],
    )
)
