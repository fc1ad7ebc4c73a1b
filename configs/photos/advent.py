# AdvEnt: a discriminator of the weighted self-information; rates as of adaptsegnet.py.
_base_ = ["adaptsegnet.py"]
uda = dict(type="AdvEnt")
