# Reality oriented adaptation (Chen et al., CVPR 2018): target guided distillation and domain classifiers of
# regions.
uda = dict(type="ROAD", lambda_distillation=0.1, lambda_spatial=0.01, regions=(3, 3))
