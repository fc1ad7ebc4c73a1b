# ROAD on the toy pair: distillation on the target, domain classifiers of 3x3 regions of the crops. The frozen
# encoder holds the source-only weights, as in dacs_fd.py.
#
#   python tools/train.py configs/quickstart/road.py --load-from CKPT --cfg-options model.pretrained=CKPT
_base_ = ["toy_adaptation.py", "../_base_/uda/road.py"]
train_dataloader = dict(
    dataset=dict(type="UDADataset", source=_base_.gta_source, target=_base_.cityscapes_target)
)
