"""Names of weights in the files of OpenMMLab and Hugging Face.

Published checkpoints with a ResNet, ResNeXt or ResNeSt, and the ImageNet weights they started from, name the
layers as OpenMMLab does. Only the stem of three convolutions (V1c, V1d, ResNeSt) has other names in timm:

======================  ===================
OpenMMLab               timm
======================  ===================
``stem.0`` … ``stem.6``  ``conv1.0`` … ``conv1.6``
``stem.7``              ``bn1``
all others              the same
======================  ===================

In Hugging Face's MiT (``nvidia/mit-b0`` … ``nvidia/mit-b5``) the stages count from 0, layers have longer
names, and key and value of the attention are two linear layers where the released weights hold one.
"""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

ENCODER = re.compile(r"^(segformer\.)?encoder\.(?=patch_embeddings\.|block\.|layer_norm\.)")
STAGE = re.compile(r"^(patch_embeddings|block|layer_norm)\.(\d)\.")
PARTS_OF_STAGE = {"patch_embeddings": "patch_embed", "block": "block", "layer_norm": "norm"}
LAYERS = {
    ".layer_norm.": ".norm.",
    ".layer_norm_1.": ".norm1.",
    ".layer_norm_2.": ".norm2.",
    ".attention.self.query.": ".attn.q.",
    ".attention.self.sr.": ".attn.sr.",
    ".attention.self.norm.": ".attn.norm.",
    ".attention.output.dense.": ".attn.proj.",
    ".mlp.dense1.": ".mlp.fc1.",
    ".mlp.dense2.": ".mlp.fc2.",
}
KEY, VALUE = ".attention.self.key.", ".attention.self.value."


def openmmlab_to_timm(name: str) -> str:
    """OpenMMLab's name of an entry of a ResNet to timm's."""
    return re.sub(r"^stem\.(?=[0-6]\.)", "conv1.", re.sub(r"^stem\.7\.", "bn1.", name))


def hugging_face_to_mit(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the names of :class:`MixVisionTransformer`; entries of another naming stay as they are.

    Args:
        state: Of Hugging Face's encoder or of a whole network of theirs, or any other.
    """
    renamed = {}
    for name, value in state.items():
        if not ENCODER.match(name):
            renamed[name] = value
        elif KEY in name and name.replace(KEY, VALUE) in state:
            joint = torch.cat([value, state[name.replace(KEY, VALUE)]])
            renamed[_layer_name(name.replace(KEY, ".attn.kv."))] = joint
        elif VALUE not in name:
            renamed[_layer_name(name)] = value
    return renamed


def _layer_name(name: str) -> str:
    name = ENCODER.sub("", name)
    if stage := STAGE.match(name):
        name = f"{PARTS_OF_STAGE[stage[1]]}{int(stage[2]) + 1}.{name[stage.end() :]}"
    for theirs, ours in LAYERS.items():
        name = name.replace(theirs, ours)
    return name
