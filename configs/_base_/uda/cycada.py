# CyCADA's pixel level (Hoffman et al., ICML 2018) with the consistency of MADAN for segmentation (Zhao et
# al., NeurIPS 2019): translated images have to look alike to a segmentation network, whose weights a run
# names in uda.consistency.checkpoint. CyCADA's authors trained their images of GTA without any: cyclegan.py.
_base_ = ["cyclegan.py", "../models/drn26.py"]
uda = dict(
    type="CyCADA",
    generator=dict(dropout_ratio=0.5),
    consistency=dict(type="DynamicConsistency", segmentor=_base_.model, checkpoint=None, weight=10.0),
    lambda_source=1.0,
    lambda_target=1.0,
    lambda_identity=0.0,
    lambda_gan_target=2.0,
)
model = None  # it is an argument of the method
