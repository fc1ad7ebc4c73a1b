# Adversarial discriminative adaptation (Tzeng et al., CVPR 2017) of class scores, as published with CyCADA.
# Start from a network trained on the source (load_from). The student has SGD with lr=1e-5, momentum=0.99 and
# weight_decay=5e-4 there, and a constant rate.
uda = dict(
    type="ADDA",
    weights_shared=True,
    discriminate="scores",
    lambda_d=1.0,
    lambda_g=0.1,
    accuracy_threshold=0.6,
    patience=2975,  # images of the smaller domain
)
# The discriminator's rate is constant, too.
other_networks = dict(
    discriminator=dict(
        optim_wrapper=dict(optimizer=dict(type="SGD", lr=1e-5, momentum=0.99, weight_decay=5e-4)),
        param_scheduler=[],
    )
)
