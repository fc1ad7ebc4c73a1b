# CBST on the toy pair, started from the source-only weights: three rounds, in each of which the network
# labels the target anew and is trained on source and chosen labels alike.
#
#   python tools/train.py configs/quickstart/cbst.py --load-from CKPT
#
# The labels of round r, thresholds and a picture are in WORK_DIR/rounds/r.
_base_ = ["toy_adaptation.py", "../_base_/uda/self_training.py"]
train_dataloader = dict(
    dataset=dict(
        type="SelfTrainingDataset",
        source=_base_.gta_source,
        target=dict(
            _base_.cityscapes_target,
            pipeline=[
                dict(type="LoadImage"),
                dict(type="MiningCrop", crop_size=(128, 128), probability=0.8),
                dict(type="RandomFlip", prob=0.5),
                dict(type="PackInputs"),
            ],
        ),
        source_portions=1.0,
    )
)
model = dict(decode_head=dict(loss_decode=dict(avg_non_ignore=True)))
rounds = dict(
    number=3,
    length=200,
    labeller=dict(type="ClassBalanced", portion=[0.2, 0.35, 0.5]),
    images=dict(
        _base_.cityscapes_target,
        test_mode=True,
        pipeline=[dict(type="LoadImage"), dict(type="PackInputs")],
    ),
    flip=True,
)
