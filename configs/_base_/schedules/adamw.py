# AdamW as in SegFormer and DAFormer (sec. 4.1).
optim_wrapper = dict(
    type="SegmentationOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="AdamW", lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01, fused=True),
)
