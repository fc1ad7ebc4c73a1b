# Adversarial adaptation of the uncertainty of predictions (ADVENT: Vu et al., CVPR 2019).
_base_ = ["adaptsegnet.py"]
uda = dict(type="AdvEnt")
