# TPLD, phase 2 (Shin et al., ECCV 2020): hard images are aligned with easy ones. There is no published code;
# beta and the weight of the adversarial loss are not published, nor is the discriminator's rate.
uda = dict(type="TPLD", beta=0.95, lambda_adv_target=dict(main=0.001))
other_networks = dict(
    discriminator=dict(
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99))), param_scheduler=[]
    )
)
