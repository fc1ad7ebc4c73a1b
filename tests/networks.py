"""Networks as the stored numbers of the published implementation describe them."""

import re
from pathlib import Path

import numpy as np
import torch
from golden_data import gen
from mmengine.config import Config, ConfigDict
from torch import Tensor, nn

import mmseg.models  # noqa: F401  (fills the registry)
from mmseg.models.backbones import TimmBackbone
from mmseg.models.backbones.mix_transformer import ARCHITECTURES
from mmseg.registry import MODELS

CONFIGS = Path(__file__).parent.parent / "configs" / "_base_" / "models"


def model_config(name: str, backbone: str = "mit_b5") -> ConfigDict:
    """Model of a base config without pretrained weights, for the given MiT."""
    cfg = Config.fromfile(CONFIGS / f"{name}.py").model
    cfg.pretrained = None
    cfg.backbone.type = backbone
    cfg.decode_head.in_channels = list(ARCHITECTURES[backbone][0])
    return cfg


def filled(cfg: dict) -> nn.Module:
    """Build a part and give it the weights of the stored cases."""
    part = MODELS.build(cfg)
    gen.fill(part.state_dict())
    return part


def published_names(module: nn.Module) -> dict[str, str]:
    """Own name -> name in the published code of every entry of a network or a whole method."""
    names = {name: name for name in module.state_dict() if not name.endswith("_extra_state")}
    for path, part in module.named_modules(remove_duplicate=False):
        if isinstance(part, TimmBackbone):
            prefix = f"{path}." if path else ""
            deep_stem = "network.conv1.0.weight" in part.state_dict()
            names |= {prefix + n: prefix + openmmlab_name(n, deep_stem) for n in part.state_dict()}
    return names


def openmmlab_name(name: str, deep_stem: bool) -> str:
    """OpenMMLab's name of an entry of a residual network; only a stem of three convolutions differs."""
    name = name.removeprefix("network.")
    return re.sub("^bn1", "stem.7", re.sub("^conv1", "stem", name)) if deep_stem else name


def filled_published(module: nn.Module, prefix: str = "") -> nn.Module:
    """Give a network or a whole method the weights of the stored cases, by their published names.

    The weights take the way of a published checkpoint. ``prefix`` stands before the names in the stored case.
    """
    own = module.state_dict()
    state = {published: torch.empty_like(own[name]) for name, published in published_names(module).items()}
    misfit = module.load_state_dict(gen.fill(state, prefix), strict=False)
    assert not misfit.unexpected_keys
    assert all(name.endswith("_extra_state") for name in misfit.missing_keys), misfit.missing_keys
    return module


def train_without_randomness(module: nn.Module) -> nn.Module:
    """Train mode (batch statistics) with all dropout and drop-path probabilities 0."""
    module.train()
    for part in module.modules():
        if isinstance(part, nn.Dropout2d):
            part.p = 0.0
        if hasattr(part, "drop_prob"):
            part.drop_prob = 0.0
    return module


def gradient_digests(module: nn.Module) -> tuple[list[str], np.ndarray]:
    """Names and digests of the parameters that have a gradient."""
    gradients = {name: p.grad.numpy() for name, p in module.named_parameters() if p.grad is not None}
    return list(gradients), np.stack([gen.digest(gradient) for gradient in gradients.values()])


def tensor(array: np.ndarray) -> Tensor:
    """Shorthand for torch.from_numpy."""
    return torch.from_numpy(array)
