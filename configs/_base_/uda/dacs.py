# DACS self-training (Tranheden et al., WACV 2021) with the settings of DAFormer's ablation.
uda = dict(
    type="DACS",
    alpha=0.99,
    pseudo_threshold=0.968,
    pseudo_weight_ignore_top=0,
    pseudo_weight_ignore_bottom=0,
    imnet_feature_dist_lambda=0,
    imnet_feature_dist_classes=None,
    imnet_feature_dist_scale_min_ratio=None,
    blur=True,
    color_jitter_strength=0.2,
    color_jitter_probability=0.2,  # a threshold: jitter in 80 % of the iterations
)
