# Adversarial adaptation of the output space as released by its authors (Tsai et al., CVPR 2018). The rate of
# the discriminators, which learn by cross entropy, follows that of the student, over 250 000 iterations.
uda = dict(type="AdvSeg", discriminator_type="Vanilla", lambda_adv_target=dict(main=0.001, aux=0.0002))
other_networks = dict(
    discriminator=dict(
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99))),
        param_scheduler=[dict(type="PolyWarmupLR", by_epoch=False, power=0.9, end=250_000)],
    )
)
