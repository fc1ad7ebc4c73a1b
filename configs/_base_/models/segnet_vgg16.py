# SegNet on VGG-16 with batch norm (Badrinarayanan et al., TPAMI 2017): BGR values from 0 to 255 as they are.
stages = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
decoder = [f"conv{stage}_{n}_D" for stage, widths in enumerate(stages, 1) for n in range(1, len(widths) + 1)]
model = dict(
    type="EncoderDecoder",
    pretrained=None,
    data_preprocessor=dict(
        type="SegDataPreprocessor", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0), rgb_to_bgr=True
    ),
    backbone=dict(type="SegNetEncoder", stages=stages),
    decode_head=dict(
        type="SegNetHead",
        in_channels=(3, 64, 128, 256, 512, 512, 512),
        stages=stages,
        num_classes=19,
        loss_decode=dict(type="CrossEntropyLoss", loss_weight=1.0, avg_non_ignore=True),
    ),
    test_cfg=dict(mode="whole"),
    published_names={
        name + ending: f"decode_head.{name}{ending}" for name in decoder for ending in ("", "_bn")
    },
)
del decoder
