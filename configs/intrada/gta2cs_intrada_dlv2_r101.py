# IntraDA (Pan et al., CVPR 2020) on GTA -> Cityscapes, second stage: the network of the first one (AdvEnt,
# configs/advent) labels the target and tells easy from hard images, whose predictions a new network
# aligns.
#
#   python run_experiments.py --exp 213 --runs 'gta2cs_intrada_*'     # both stages
#   python tools/train.py configs/intrada/gta2cs_intrada_dlv2_r101.py \
#       --cfg-options rounds.checkpoint=ADVENT_CHECKPOINT
#
# Needs   data/cityscapes (converted, see README) and the weights of the encoder, see
#         configs/_base_/models/parts/deeplab_resnet101.py.
# Paper   46.3 mIoU, 47.0 with rounds.labeller.normalize=True (which the documented command switches on); not
#         checked in the paper itself. Not reproduced here yet: that takes the real data and a GPU.
_base_ = [
    "../_base_/default_runtime.py",
    "../_base_/datasets/easy_hard_cityscapes_whole.py",
    "../_base_/models/deeplabv2_advent_r101.py",
    "../_base_/schedules/sgd_deeplabv2.py",
    "../_base_/uda/advent.py",
]
# The authors' optimizer lists the convolutions of the encoder three or four times, so that they learn faster
# than the rate says; leave out both lines for one step each.
optim_wrapper = dict(
    optimizer=dict(type="LegacySGD"),
    paramwise_cfg=dict(published_duplicate_parameters="backbone.network."),
)
rounds = dict(
    number=1,
    length=[120000],
    labeller=dict(type="EntropyRanking", easy_share=0.67, normalize=False),
    checkpoint="start",  # the network of the first stage, which run_experiments.py fills in
)
train_cfg = dict(max_iters=120000)
name = "gta2cs_intrada_dlv2_r101_s0"
