# CRST with MRKLD on the toy pair: CBST whose network is kept from being too sure of its labels.
#
#   python tools/train.py configs/quickstart/crst_mrkld.py --load-from CKPT
_base_ = ["cbst.py"]
uda = dict(regulariser=dict(type="kld", alpha=0.1, target_weight=0.1))
