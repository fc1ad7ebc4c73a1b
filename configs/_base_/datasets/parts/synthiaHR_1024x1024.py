# Synthia at twice its resolution, 2560x1520.
_base_ = ["./synthia_512x512.py"]
synthia_high_resolution = dict(
    Resize=dict(scale=(2560, 1520)), RandomCrop=dict(crop_size=(1024, 1024)), Pad=dict(size=(1024, 1024))
)
synthia_train = dict(
    pipeline=[
        {**step, **synthia_high_resolution.get(step["type"], {})} for step in _base_.synthia_train.pipeline
    ]
)
