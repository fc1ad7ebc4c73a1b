# GTA at a random scale in crops of 500x500, as the source-only networks of CRST are trained.
_base_ = ["./parts/rounds.py"]
train_dataloader = dict(
    batch_size=4,
    dataset=dict(
        type="UDADataset",
        source=dict(_base_.gta, pipeline=[*_base_.labelled, _base_.gta_size, *_base_.crops_500]),
        target=dict(_base_.cityscapes_target, pipeline=[dict(type="LoadImage"), *_base_.crops_500]),
    ),
)
