"""Networks, each written once, and those of the stored numbers of the published implementation."""

import functools
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from golden_data import gen, listing, norm
from mmengine.config import Config, ConfigDict
from torch import Tensor, nn

import mmseg.models  # noqa: F401  (fills the registry)
from mmseg.checkpoints.weights import compare
from mmseg.models.backbones import TimmBackbone
from mmseg.models.backbones.mix_transformer import ARCHITECTURES
from mmseg.registry import MODELS

CONFIGS = Path(__file__).parent.parent / "configs" / "_base_" / "models"
_base_config = functools.cache(Config.fromfile)
WITHOUT_DROPOUT = {"backbone.drop_path_rate": 0.0, "decode_head.dropout_ratio": 0.0}


def model_config(
    name: str, encoder: str | None = None, changes: Mapping[str, Any] | None = None
) -> ConfigDict:
    """Network of a base config without pretrained weights.

    Args:
        name: Of the config.
        encoder: A MiT, or timm's name of a residual network, instead of the config's.
        changes: Dotted key -> value.
    """
    cfg = Config(dict(_base_config(CONFIGS / f"{name}.py").model.to_dict(), pretrained=None))
    if encoder in ARCHITECTURES:
        cfg.backbone = dict(type=encoder)
        cfg.decode_head.in_channels = list(ARCHITECTURES[encoder][0])
    elif encoder:
        cfg.backbone.name = encoder
    cfg.merge_from_dict(dict(changes or {}))
    return cfg._cfg_dict


def under_hrda(cfg: Mapping[str, Any], head: Mapping[str, Any] | None = None, **changes: Any) -> dict:
    """The same head on context and detail crops of 64×64 pixels.

    Args:
        cfg: Network of one scale.
        head: Changes of the head.
        changes: Changes of the network.
    """
    shared = cfg["decode_head"]
    both = dict(type="HRDAHead", single_scale_head=shared["type"], hr_loss_weight=0.1)
    network = {**cfg, "type": "HRDAEncoderDecoder", "hr_crop_size": (64, 64)}
    return network | dict(decode_head={**shared, **both, **(head or {})}) | changes


def tiny(**changes: Any) -> dict:
    """A network that is fast enough for anything: two levels, a narrow decoder, four classes."""
    head = {
        "in_channels": [32, 256],
        "in_index": [0, 3],
        "channels": 8,
        "num_classes": 4,
        "decoder_params.embed_dims": 8,
        "decoder_params.embed_neck_cfg": None,
    }
    narrow = WITHOUT_DROPOUT | {f"decode_head.{key}": value for key, value in head.items()}
    return {**model_config("daformer_conv1_mitb5", "mit_b0", narrow), **changes}


def filled(cfg: dict, device: str = "cpu") -> nn.Module:
    """Build a part and give it the weights of the stored cases."""
    part = MODELS.build(cfg).to(device)
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


def filled_from_listing(
    module: nn.Module, name: str, kept: tuple[str, ...] = ()
) -> tuple[nn.Module, dict[str, str]]:
    """Load a checkpoint with the entries of a stored listing, which has to fit entry by entry.

    Args:
        module: A segmentor.
        name: Of the listing in ``tests/golden``.
        kept: Ends of the names of entries that keep the values they have.

    Returns:
        The module, and published name -> own name.
    """
    sizes = {key: [int(n) for n in shape.split("x") if n] for key, shape, _ in listing(name)}
    empty = {key: torch.empty(size) for key, size in sizes.items() if not key.endswith(kept or ("\n",))}
    integer = {key for key, _, dtype in listing(name) if dtype == "int64"}
    state = gen.fill({key: value.long() if key in integer else value for key, value in empty.items()})
    report = compare(module, state)
    assert not report.unexpected and not report.mismatched, report.misfits()
    assert all(key.endswith(kept or ("\n",)) for key in report.missing), report.missing
    module.load_state_dict(report.loaded, strict=False)
    places = {value.data_ptr(): key for key, value in state.items() if value.numel()}
    return module, {places[value.data_ptr()]: key for key, value in report.loaded.items()}


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
    gradients = {name: host(p.grad) for name, p in module.named_parameters() if p.grad is not None}
    return list(gradients), np.stack([gen.digest(gradient) for gradient in gradients.values()])


def tensor(array: np.ndarray, device: str = "cpu") -> Tensor:
    """An array as a tensor on a device."""
    return torch.from_numpy(array).to(device)


def host(found: Tensor) -> np.ndarray:
    """A tensor of any device as an array."""
    return found.detach().cpu().numpy()


def assert_values(found: Tensor, stored: np.ndarray, rtol: float = 1e-4, atol: float = 2e-4) -> None:
    """Compare a tensor of any device with stored numbers."""
    np.testing.assert_allclose(host(found), stored, rtol=rtol, atol=atol)


def assert_digest(found: Tensor, stored: np.ndarray, rtol: float = 1e-4) -> None:
    """Compare size and norm of a tensor of any device with those of a stored digest."""
    digest = gen.digest(host(found))
    assert digest[3] == stored[3]
    np.testing.assert_allclose(norm(digest), norm(stored), rtol=rtol)
