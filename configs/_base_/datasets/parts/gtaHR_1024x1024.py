# GTA at full resolution: frames of 1914x1052 pixels become 2560x1407.
_base_ = ["./gta_512x512.py"]
gta_high_resolution = dict(
    Resize=dict(scale=(2560, 1440)), RandomCrop=dict(crop_size=(1024, 1024)), Pad=dict(size=(1024, 1024))
)
gta_train = dict(
    pipeline=[{**step, **gta_high_resolution.get(step["type"], {})} for step in _base_.gta_train.pipeline]
)
