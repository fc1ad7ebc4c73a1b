# AdvEnt on the toy pair: a discriminator of the weighted self-information; rates as of adaptsegnet.py.
#
#   python tools/train.py configs/quickstart/advent.py --load-from CKPT
_base_ = ["adaptsegnet.py"]
uda = dict(type="AdvEnt")
