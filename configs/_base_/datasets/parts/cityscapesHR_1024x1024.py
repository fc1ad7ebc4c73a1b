# Cityscapes at full resolution, 2048x1024.
_base_ = ["./cityscapes_512x512.py"]
cityscapes_high_resolution = dict(
    Resize=dict(scale=(2048, 1024)), RandomCrop=dict(crop_size=(1024, 1024)), Pad=dict(size=(1024, 1024))
)
cityscapes_train = dict(
    pipeline=[
        {**step, **cityscapes_high_resolution.get(step["type"], {})}
        for step in _base_.cityscapes_train.pipeline
    ]
)
cityscapes_target = dict(
    pipeline=[
        {**step, **cityscapes_high_resolution.get(step["type"], {})}
        for step in _base_.cityscapes_target.pipeline
    ]
)
cityscapes_val = dict(
    pipeline=[
        {**step, **cityscapes_high_resolution.get(step["type"], {})}
        for step in _base_.cityscapes_val.pipeline
    ]
)
