# ACDC at full resolution, 1920x1080.
_base_ = ["./acdc_512x512.py"]
acdc_high_resolution = dict(
    Resize=dict(scale=(1920, 1080)), RandomCrop=dict(crop_size=(1024, 1024)), Pad=dict(size=(1024, 1024))
)
acdc_target = dict(
    pipeline=[{**step, **acdc_high_resolution.get(step["type"], {})} for step in _base_.acdc_target.pipeline]
)
acdc_val = dict(
    pipeline=[{**step, **acdc_high_resolution.get(step["type"], {})} for step in _base_.acdc_val.pipeline]
)
