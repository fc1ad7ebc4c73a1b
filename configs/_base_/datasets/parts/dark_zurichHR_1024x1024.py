# Dark Zurich at full resolution, 1920x1080.
_base_ = ["./dark_zurich_512x512.py"]
dark_zurich_high_resolution = dict(
    Resize=dict(scale=(1920, 1080)), RandomCrop=dict(crop_size=(1024, 1024)), Pad=dict(size=(1024, 1024))
)
dark_zurich_target = dict(
    pipeline=[
        {**step, **dark_zurich_high_resolution.get(step["type"], {})}
        for step in _base_.dark_zurich_target.pipeline
    ]
)
dark_zurich_val = dict(
    pipeline=[
        {**step, **dark_zurich_high_resolution.get(step["type"], {})}
        for step in _base_.dark_zurich_val.pipeline
    ]
)
