# The second stage of IntraDA on the toy pair: the network of AdvEnt (advent.py) labels the target and tells
# easy from hard images, whose predictions are then aligned. It goes on from AdvEnt's weights; the paper
# trains a new network from those of ImageNet.
#
#   python tools/train.py configs/quickstart/intrada.py --load-from CKPT
#
# with CKPT the last checkpoint of advent.py.
_base_ = ["advent.py"]
train_dataloader = dict(dataset=dict(_delete_=True, type="EasyHardDataset", target=_base_.cityscapes_target))
rounds = dict(
    number=1,
    length=600,
    labeller=dict(type="EntropyRanking", easy_share=0.67),
    images=dict(
        _base_.cityscapes_target,
        test_mode=True,
        pipeline=[dict(type="LoadImage"), dict(type="PackInputs")],
    ),
    flip=False,
)
