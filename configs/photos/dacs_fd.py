# DACS with the thing-class feature distance: sign, car, pedestrian, bicyclist.
_base_ = ["dacs.py"]
uda = dict(
    imnet_feature_dist_lambda=0.005,
    imnet_feature_dist_classes=[6, 8, 9, 10],
    imnet_feature_dist_scale_min_ratio=0.75,
)
