"""Size and cost of networks: parameters, and the operations that one image takes.

Networks are counted on torch's meta device, which has shapes but no values: nothing is computed or loaded.
"""

import copy
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import torch
from mmengine.config import Config
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mmseg import models  # noqa: F401  (fill the registry)
from mmseg.datasets.domains import domain_configs
from mmseg.errors import ConfigError
from mmseg.registry import MODELS

NO_PART_OF_THE_NETWORK = {
    "blur_hr_crop", "data_preprocessor", "feature_scale", "hr_loss_weight", "loss_decode", "lr_loss_weight",
    "max_windows_per_forward", "pretrained", "test_cfg",
}  # fmt: skip
"""Arguments of a segmentor and its parts that change neither parameters nor operations."""


@dataclass(frozen=True)
class NetworkCost:
    """What a network takes.

    Attributes:
        encoder: Parameters of the backbone.
        decoder: Parameters of all else: neck and heads.
        training_flops: Forward pass of one training crop. HRDA sees the context and one detail crop.
        inference_flops: Prediction of one image of that size. HRDA sees the context and all sliding windows.

    A multiply-add counts as two operations. Convolutions, matrix products and attention are counted, what
    works on single values (norms, activations, resizing, losses) is not.
    """

    encoder: int
    decoder: int
    training_flops: int
    inference_flops: int

    @property
    def total(self) -> int:
        """All parameters."""
        return self.encoder + self.decoder


@dataclass
class Network:
    """A network, the size (height, width) of its training crops, and what uses it."""

    name: str
    model: dict[str, Any]
    crop: tuple[int, int]
    users: list[str] = field(default_factory=list)


def training_crop(cfg: Config) -> tuple[int, int]:
    """(height, width) of what the network of a config sees in training.

    Raises:
        ConfigError: The config has no training data, or the data have no fixed size.
    """
    dataset = (cfg.get("train_dataloader") or {}).get("dataset") or {}
    trained = dataset.get("source") or dataset
    first = domain_configs("source", trained)[0].dataset if trained else {}
    pipeline = first.get("pipeline", [])
    sizes = [step["crop_size"] for step in pipeline if step["type"] == "RandomCrop"]
    if dataset.get("sync_crop_size"):
        sizes.append(dataset["sync_crop_size"])
    if not sizes:
        raise ConfigError(
            f"{cfg.filename}: train_dataloader.dataset has no RandomCrop in its pipeline, so the size of a "
            "training crop is unknown; name the config of a run, as configs/daformer/*.py"
        )
    height, width = (sizes[-1], sizes[-1]) if isinstance(sizes[-1], int) else sizes[-1]
    return height, width


def unique_networks(configs: Iterable[tuple[str, Config]]) -> list[Network]:
    """The different networks of configs, in the order of their first use.

    Configs that differ in weights of losses, in the way of testing or in ImageNet weights share a network.

    Args:
        configs: (who uses it, config).

    Raises:
        ConfigError: A config has no network, or no training crop.
    """
    networks: dict[str, Network] = {}
    for user, cfg in configs:
        if not cfg.get("model"):
            raise ConfigError(f"{user}: 'model' is missing; name the config of a run")
        model, crop = cfg.model.to_dict(), training_crop(cfg)
        key = json.dumps([_structure(model), crop], sort_keys=True)
        name = cfg.get("name_architecture", user).replace("_sl_", "_")  # sliding is a way of testing
        network = networks.setdefault(key, Network(name, model, crop))
        if user not in network.users:
            network.users.append(user)
    return list(networks.values())


def _structure(part: Any) -> Any:
    if isinstance(part, dict):
        return {key: _structure(value) for key, value in part.items() if key not in NO_PART_OF_THE_NETWORK}
    return [_structure(value) for value in part] if isinstance(part, list | tuple) else part


def count(network: Network) -> NetworkCost:
    """Build a network without memory and count it.

    Raises:
        ConfigError: A part of the network is unknown, or parts do not fit together.
    """
    cfg = {**copy.deepcopy(network.model), "pretrained": None}
    with torch.device("meta"):
        segmentor = MODELS.build(cfg).to("meta").eval()  # libraries make some buffers on the CPU
    encoder, total = _parameters(segmentor.backbone), _parameters(segmentor)
    img = torch.empty(1, 3, *network.crop, device="meta")
    label = torch.empty(1, *network.crop, dtype=torch.long, device="meta")
    training = _flops(lambda: segmentor.forward_train(img, label))
    inference = _flops(lambda: segmentor.encode_decode(img))
    return NetworkCost(encoder, total - encoder, training, inference)


def _flops(forward: Callable[[], Any]) -> int:
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        forward()
    return counter.get_total_flops()


def _parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
