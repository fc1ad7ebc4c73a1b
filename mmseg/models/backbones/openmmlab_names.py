"""Names of ResNet weights in OpenMMLab's files and in timm's networks.

Published checkpoints with a ResNet, ResNeXt or ResNeSt, and the ImageNet weights they started from, name the
layers as OpenMMLab does. Only the stem of three convolutions (V1c, V1d, ResNeSt) has other names in timm:

======================  ===================
OpenMMLab               timm
======================  ===================
``stem.0`` … ``stem.6``  ``conv1.0`` … ``conv1.6``
``stem.7``              ``bn1``
all others              the same
======================  ===================
"""

import re


def to_timm(name: str) -> str:
    """OpenMMLab's name of an entry of a ResNet to timm's."""
    if name.startswith("stem.7."):
        return "bn1." + name.removeprefix("stem.7.")
    return re.sub(r"^stem\.(?=[0-6]\.)", "conv1.", name)


def from_timm(name: str, deep_stem: bool) -> str:
    """timm's name of an entry of a ResNet to OpenMMLab's.

    Args:
        name: Of a parameter or buffer.
        deep_stem: The stem has three convolutions; with a single one all names agree.
    """
    if not deep_stem:
        return name
    if name.startswith("bn1."):
        return "stem.7." + name.removeprefix("bn1.")
    return re.sub(r"^conv1\.(?=[0-6]\.)", "stem.", name)
