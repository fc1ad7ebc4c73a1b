# MADAN (Zhao et al., NeurIPS 2019) with Synthia and GTA as sources (train_dataloader.dataset.mode="joint").
# Settings are those of the paper's runs as far as the history of its code tells; the last version of its
# scripts gives the consistency the weight 200. A run names the weights of the segmentation networks
# (checkpoint), and the iterations from which aggregation and cross-domain cycle count (there: epochs above 5
# and above 10).
_base_ = ["cyclegan.py", "../models/drn26.py"]
consistency = dict(type="DynamicConsistency", segmentor=_base_.model, checkpoint=None, weight=4.0)
uda = dict(
    _delete_=True,
    type="MADAN",
    generator=dict(type="ResnetGenerator", blocks=9, dropout_ratio=0.5),
    discriminator=dict(type="PatchDiscriminator", layers=3),
    sources=["synthia", "gta"],
    consistency=dict(synthia=consistency, gta=consistency),
    aggregation=[["synthia", "gta"]],  # the generator of Synthia is pushed towards GTA
    lambda_source=1.0,
    lambda_target=1.0,
    lambda_gan_target=2.0,
    lambda_cross=0.2,
    gan_loss="LS",
    pool_size=50,
)
model = None  # it is an argument of the method
del consistency
