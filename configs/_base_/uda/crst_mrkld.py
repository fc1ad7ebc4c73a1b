# CRST with MRKLD (Zou et al., ICCV 2019). As published, the weight 0.1 is applied twice; target_weight=1.0 is
# the paper's formula.
_base_ = ["self_training.py"]
uda = dict(regulariser=dict(type="kld", alpha=0.1, target_weight=0.1))
