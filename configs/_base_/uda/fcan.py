# The representation adaptation network of FCAN (Zhang et al., CVPR 2018). The other half of the method,
# images of the source that look like the target, is what tools/adapt_appearance.py writes.
uda = dict(type="FCAN", lambda_seg=5.0, dilations=(1, 2, 3, 4), channels=128)
