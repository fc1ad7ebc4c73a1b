# DCTN (Xu et al., CVPR 2018), published for classification; lengths and discriminators are chosen here. The
# network has a classifier for each source: model=dict(type="VotingEncoderDecoder", num_sources=2), and
# train_dataloader.dataset.mode="joint".
uda = dict(type="DCTN", num_sources=2, discriminative_iters=2000, adversarial_iters=1000, threshold=0.9)
# As published a constant rate, and least squares.
other_networks = dict(
    discriminator=dict(
        optim_wrapper=dict(optimizer=dict(type="Adam", lr=1e-5, betas=(0.9, 0.999))), param_scheduler=[]
    )
)
