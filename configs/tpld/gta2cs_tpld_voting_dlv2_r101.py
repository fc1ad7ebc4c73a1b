# TPLD (Shin et al., ECCV 2020) on GTA -> Cityscapes, phase 1: CRST with labels by voting and the
# bootstrapping loss. Phase 2 goes on from its network, see ID 214.
#
#   python run_experiments.py --exp 214 --runs 'gta2cs_tpld_*'     # both phases
#   python tools/train.py configs/tpld/gta2cs_tpld_voting_dlv2_r101.py --load-from SOURCE_ONLY_CHECKPOINT
#
# Needs   data/gta, data/cityscapes (converted, see README).
# Paper   51.2 mIoU after phase 2; not checked in the paper itself. There is no published code: beta, the
#         window and pooling of the votes, and lengths are not published. Not reproduced here.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/rounds_gta_to_cityscapes_crst.py",
    "../_base_/models/deeplabv2_crst_r101.py",
    "../_base_/schedules/sgd_crst.py",
    "../_base_/uda/tpld_voting.py",
]
# The authors' optimizer lists the convolutions of the encoder three or four times, so that they learn faster
# than the rate says; leave out both lines for one step each.
optim_wrapper = dict(
    optimizer=dict(type="LegacySGD"),
    paramwise_cfg=dict(published_duplicate_parameters="backbone.network."),
)
rounds = dict(
    number=6,
    length=[1104, 1154, 1204, 1254, 1304, 1354],
    labeller=dict(
        type="Voting",
        portion=[0.2, 0.25, 0.3, 0.35, 0.4, 0.45],
        window=3,  # not published
        pooling="mean",  # not published
        own_weight=0.7,  # published, but not whether it is the pixel's or its neighbours'
        passes=3,
    ),
)
train_cfg = dict(max_iters=7374, val_interval=1104)
default_hooks = dict(checkpoint=dict(interval=1104))
name = "gta2cs_tpld-voting_dlv2_r101_s0"
