# Adversarial adaptation of the output space (Tsai et al., CVPR 2018) with a least-squares discriminator.
uda = dict(type="AdvSeg", discriminator_type="LS", lambda_adv_target=dict(main=0.001, aux=0.0002))
# What is trained beside the student, each with an optimizer of its own; precision and the like are those of
# optim_wrapper.
other_networks = dict(
    discriminator=dict(
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99))),
        param_scheduler=[dict(type="PolyWarmupLR", by_epoch=False, power=0.9, min_lr=0.0, warmup_iters=0)],
    )
)
