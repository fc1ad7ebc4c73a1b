# TPLD, phase 1 (Shin et al., ECCV 2020): CRST with MRKLD and the bootstrapping loss, on labels by voting.
# There is no published code; beta is not published.
_base_ = ["crst_mrkld.py"]
uda = dict(beta=0.95)
