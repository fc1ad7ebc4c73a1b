"""Parameter groups by name, as few as possible."""

import logging
import warnings
from collections import defaultdict
from typing import Any

from mmengine.logging import print_log
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from mmseg.errors import ConfigError
from mmseg.models.uda.uda_decorator import STUDENT
from mmseg.registry import OPTIM_WRAPPER_CONSTRUCTORS, OPTIM_WRAPPERS, OPTIMIZERS, accepted_arguments

FUSED_ON = ("cpu", "cuda")
"""Where torch has fused optimizers; not for ``meta`` tensors."""

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)
"""Normalisation layers: batch and instance norms of any dimension, and the others."""


def multipliers(name: str, custom_keys: dict[str, dict]) -> tuple[float, float]:
    """(lr_mult, decay_mult) of a parameter.

    The keys are matched as substrings of the full name; the longest matching key wins, ties are resolved
    alphabetically.
    """
    for key in sorted(sorted(custom_keys), key=len, reverse=True):
        if key in name:
            return custom_keys[key].get("lr_mult", 1.0), custom_keys[key].get("decay_mult", 1.0)
    return 1.0, 1.0


def occurrences(name: str, duplicated: str | None) -> int:
    """How often an optimizer lists a parameter: once, or once for each module from the encoder's stage on.

    Args:
        name: ``model.backbone.layer1.0.conv1.weight`` is listed by ``layer1``, ``0`` and ``conv1``.
        duplicated: Prefix of what is listed several times, without ``model.``; None for nothing.
    """
    _, found, inside = name.partition("." if duplicated is None else duplicated)
    return max(1, inside.count(".")) if duplicated is not None and found else 1


@OPTIM_WRAPPER_CONSTRUCTORS.register_module()
class GroupedOptimWrapperConstructor:
    """Build an optimizer with one group per distinct pair of multipliers.

    Parameters that take no gradient (teacher, ImageNet branch) are left out, and of a UDA method those of
    networks with an optimizer of their own. Few groups let the optimizer update all parameters of a group in
    one fused operation, which is what optimizers of torch do here unless their config says otherwise.

    Args:
        optim_wrapper_cfg: ``type`` of the wrapper, ``optimizer`` config and further arguments of the wrapper;
            ``other_networks``: name of a network that a UDA method trains beside the student -> what its
            wrapper has in another way.
        paramwise_cfg: ``custom_keys``: substring -> ``dict(lr_mult=..., decay_mult=...)``;
            ``published_duplicate_parameters``: prefix of the parameters that are listed once for each module
            that holds them, ``'backbone.network.'`` for the code of AdaptSegNet, ADVENT and CLAN. There an
            encoder's convolutions are updated three or four times in a step;
            ``norm_decay_mult``: ``decay_mult`` of the parameters of normalisation layers that no key names,
            by the type of the layer. Without it they decay, as in the published code: there the rule for MiT
            is the key ``norm``, which misses the norms of a CNN (``bn1``), and those of ResNets decay.
    """

    def __init__(self, optim_wrapper_cfg: dict, paramwise_cfg: dict | None = None) -> None:
        self.wrapper_cfg = dict(optim_wrapper_cfg)
        self.others = self.wrapper_cfg.pop("other_networks", {})
        self.shared = dict(self.wrapper_cfg)
        self.optimizer_cfg = dict(self.wrapper_cfg.pop("optimizer", {}))
        paramwise_cfg = dict(paramwise_cfg or {})
        self.custom_keys = paramwise_cfg.pop("custom_keys", {})
        self.duplicated = paramwise_cfg.pop("published_duplicate_parameters", None)
        self.norm_decay_mult: float | None = paramwise_cfg.pop("norm_decay_mult", None)
        if not isinstance(self.norm_decay_mult, int | float | None):
            raise ConfigError(
                f"config: paramwise_cfg.norm_decay_mult={self.norm_decay_mult!r}; expected a number, as 0.0"
            )
        unknown = {key for values in self.custom_keys.values() for key in values} - {"lr_mult", "decay_mult"}
        if unknown:
            raise ConfigError(
                f"config: paramwise_cfg.custom_keys: unknown {', '.join(sorted(unknown))}; expected lr_mult "
                "and decay_mult"
            )
        if paramwise_cfg:
            raise ConfigError(
                "config: paramwise_cfg knows 'custom_keys', 'norm_decay_mult' and "
                f"'published_duplicate_parameters'; found "
                f"{', '.join(paramwise_cfg)}"
            )

    def __call__(self, model: nn.Module) -> OptimWrapper | OptimWrapperDict:
        """Build the optimizer, or those of the student (if the method has one) and of its other networks.

        Raises:
            ConfigError: A network has no optimizer, or an optimizer no network.
        """
        method: Any = model.module if is_model_wrapper(model) else model
        networks = getattr(method, "other_networks", {})
        if self.others.keys() != networks.keys():
            raise ConfigError(
                f"config: {type(method).__name__} trains {sorted(networks) or 'no network'} beside the "
                f"student; found {sorted(self.others)} in other_networks, expected {sorted(networks)} (see "
                "configs/_base_/uda)"
            )
        wrappers = {STUDENT: self._build(method)} if getattr(method, "has_student", True) else {}
        for name, network in networks.items():
            settings = {**self.shared, **self.others[name]}
            paramwise_cfg = settings.pop("paramwise_cfg", None)
            wrappers[name] = type(self)(settings, paramwise_cfg)._build(network)
        first = next(iter(wrappers.values()))
        first.statistics = [buffer for buffer in method.buffers() if buffer.is_floating_point()]
        return OptimWrapperDict(**wrappers) if networks else first

    def _build(self, model: nn.Module) -> OptimWrapper:
        if not self.optimizer_cfg:
            raise ConfigError(
                "config: optim_wrapper has no 'optimizer'; expected e.g. dict(type='AdamW', lr=6e-5)"
            )
        groups: dict[tuple[float, float], list[nn.Parameter]] = defaultdict(list)
        named_parameters = getattr(model, "student_parameters", model.named_parameters)
        norms = {
            id(parameter)
            for layer in model.modules()
            if isinstance(layer, NORMS)
            for parameter in layer.parameters(recurse=False)
        }
        unnamed_norms = []
        for name, parameter in named_parameters():
            if parameter.requires_grad:
                lr_mult, decay_mult = multipliers(name, self.custom_keys)
                if id(parameter) in norms and not any(key in name for key in self.custom_keys):
                    unnamed_norms.append(name)
                    decay_mult = 1.0 if self.norm_decay_mult is None else self.norm_decay_mult
                groups[lr_mult, decay_mult] += [parameter] * occurrences(name, self.duplicated)
        duplicated, names = self.duplicated, [name for name, _ in named_parameters()]
        if duplicated is not None and not any(duplicated in name for name in names):
            raise ConfigError(
                f"config: paramwise_cfg.published_duplicate_parameters={duplicated!r} begins the name of no "
                f"parameter, which are such as {names[0].removeprefix('model.')}; name the encoder of this "
                "network, or None to list each parameter once"
            )
        if unnamed_norms and self.norm_decay_mult is None and "norm" in self.custom_keys:
            print_log(
                f"paramwise_cfg.custom_keys.norm goes by names; {len(unnamed_norms)} parameters of "
                f"normalisation layers are called otherwise, for example {unnamed_norms[0]}, and decay. "
                "optim_wrapper.paramwise_cfg.norm_decay_mult=0.0 goes by the type of the layer",
                "current",
                logging.WARNING,
            )
        base_lr = self.optimizer_cfg["lr"]
        base_decay = self.optimizer_cfg.get("weight_decay", 0.0)
        self.optimizer_cfg["params"] = [
            dict(params=parameters, lr=base_lr * lr_mult, weight_decay=base_decay * decay_mult)
            for (lr_mult, decay_mult), parameters in groups.items()
        ]
        cls = self.optimizer_cfg["type"]
        cls = OPTIMIZERS.get(cls) if isinstance(cls, str) else cls
        known = accepted_arguments(cls)[0]
        can_fuse = cls.__module__.startswith("torch.optim.") and all(
            parameter.device.type in FUSED_ON for parameters in groups.values() for parameter in parameters
        )
        if self.duplicated is not None:  # one after the other, so that each update sees the one before
            self.optimizer_cfg |= {name: False for name in ("foreach", "fused") if name in known}
        elif can_fuse and "foreach" not in self.optimizer_cfg and "fused" in known:
            self.optimizer_cfg.setdefault("fused", True)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*duplicate parameters")  # asked for
            optimizer = OPTIMIZERS.build(self.optimizer_cfg)
        return OPTIM_WRAPPERS.build(dict(self.wrapper_cfg), default_args=dict(optimizer=optimizer))
