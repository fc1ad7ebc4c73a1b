# CycleGAN (Zhu et al., ICCV 2017): two generators without a student. Settings of its authors: Adam, a
# constant rate in the first half of the run, then a linear way to zero. The generators have no dropout, as
# its authors say; dropout_ratio=0.5 is that of the code of CyCADA and MADAN.
uda = dict(
    type="CycleGAN",
    generator=dict(type="ResnetGenerator", blocks=9, dropout_ratio=0.0),
    discriminator=dict(type="PatchDiscriminator", layers=3),
    lambda_source=10.0,
    lambda_target=10.0,
    lambda_identity=0.5,
    gan_loss="LS",
    pool_size=50,
)
optim_wrapper = dict(type="SegmentationOptimWrapper", constructor="GroupedOptimWrapperConstructor")
adam = dict(
    optim_wrapper=dict(optimizer=dict(type="Adam", lr=2e-4, betas=(0.5, 0.999))),
    param_scheduler=[dict(type="LinearToZeroLR", by_epoch=False)],
)
other_networks = dict(generator=adam, discriminator=adam)
del adam
