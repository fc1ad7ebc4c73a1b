# SGD for the adversarial and entropy baselines over DeepLabV2 (Tsai et al. 2018, Vu et al. 2019), with the
# rate used in the comparisons of HRDA and MIC.
optim_wrapper = dict(
    type="SegmentationOptimWrapper",
    constructor="GroupedOptimWrapperConstructor",
    optimizer=dict(type="SGD", lr=0.0025, momentum=0.9, weight_decay=0.0005),
)
