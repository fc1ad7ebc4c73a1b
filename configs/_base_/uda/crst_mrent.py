# CRST with MRENT (Zou et al., ICCV 2019). Not in the published code for segmentation; the weight is from
# memory.
_base_ = ["self_training.py"]
uda = dict(regulariser=dict(type="ent", alpha=0.1))
