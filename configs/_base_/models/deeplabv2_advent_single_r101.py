# DeepLabV2 on ResNet-101 with one output, as ADVENT's networks without the second one (for SYNTHIA). Tests
# checkpoints with a second output as well, which is left over.
_base_ = ["parts/deeplab_resnet101.py"]
model = dict(published_names=dict(layer5="auxiliary_head", layer6="decode_head"))
