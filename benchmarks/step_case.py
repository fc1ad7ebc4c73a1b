"""The training step that is measured: networks of the papers, random weights, made-up images."""

from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import torch
from mmengine.config import Config
from torch import nn

from experiments import DAFORMER, HRDA, MIC, MIC_DAFORMER
from mmseg import engine, models  # noqa: F401  (fill the registries)
from mmseg.experiments.experiment import Run
from mmseg.experiments.names import Axes, Detail
from mmseg.models.uda import DACS
from mmseg.registry import MODELS

METHODS: dict[str, Axes] = {
    "daformer": DAFORMER,
    "hrda": HRDA,
    "mic_daformer": MIC_DAFORMER,
    "mic_hrda": MIC,
}
BACKBONES = [f"mit_b{size}" for size in range(6)]
THING_CLASS = 11
"""A class whose features the feature distance holds (person)."""
CELL = 64
"""Edge of a region of one class, so large that a cell of the coarsest features lies in it."""
NUM_CLASSES, IGNORE = 19, 255
DTYPES = {None: "float32", "bf16": "bfloat16", "fp16": "float16"}
"""Types of numbers by precision."""
PSEUDO_THRESHOLD = 0.07
"""Random weights are never sure of a pixel: at the published threshold no pseudo-label would count."""


@dataclass(frozen=True)
class StepCase:
    """What is measured.

    Attributes:
        method: Key of :data:`METHODS`.
        backbone: One of :data:`BACKBONES`.
        crop: Edge of the training crops in pixels; a detail crop has half of it.
        batch: Source images of a step; as many target images.
        amp: Key of :data:`DTYPES`: autocast to that type, None for float32.
        tf32: Whether a GPU may round float32 factors to TF32.
        compile: Whether networks are compiled.
        channels_last: Whether the weights of convolutions are in channels-last order.
        graphs: Whether encoders run as captured CUDA graphs.
        device: ``cpu`` or ``cuda``.
        threads: Threads of the host.
        published: Organised as published instead of as we do it.
    """

    method: str = "daformer"
    backbone: str = "mit_b5"
    crop: int = 512
    batch: int = 2
    amp: str | None = None
    tf32: bool = False
    compile: bool = False
    channels_last: bool = False
    graphs: bool = False
    device: str = "cpu"
    threads: int = 1
    published: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name."""
        return asdict(self)


def config_of(case: StepCase) -> Config:
    """The config of the paper's run with backbone, crops and precision of the case.

    Margins and mask blocks are scaled with the crop.
    """
    published, name = METHODS[case.method], case.backbone.replace("_", "")
    detail = Detail(case.crop // 2) if published.detail else None
    masking, scale = published.masking, case.crop / published.crop
    if masking:
        masking = replace(masking, block_size=max(1, round(masking.block_size * scale)))
    network = f"daformer_sepaspp_{name}"
    axes = replace(published, network=network, crop=case.crop, detail=detail, masking=masking)
    cfg = Run(exp_id=0, row=axes, seed=0).config()
    cfg.model.pretrained = None
    cfg.uda.pseudo_threshold = PSEUDO_THRESHOLD
    for side in ("top", "bottom"):
        key = f"pseudo_weight_ignore_{side}"
        cfg.uda[key] = round(cfg.uda[key] * scale)
    cfg.optim_wrapper.precision = case.amp or "fp32"
    return cfg


def build_method(case: StepCase, cfg: Config) -> DACS:
    """The method on its device, with weights that are the same in every process.

    The ImageNet branch differs from the student as it does during training, so that there is a distance.
    """
    torch.manual_seed(0)
    method: DACS = MODELS.build({**cfg.uda, "model": cfg.model})
    with torch.no_grad():
        for network in (method.model, method.imnet_model):
            for parameter in network.parameters():
                parameter.add_(torch.randn_like(parameter), alpha=0.02)
    if case.channels_last:
        method.to(memory_format=torch.channels_last)
    return method.to(case.device).train()


def batch_of(case: StepCase) -> dict[str, Any]:
    """A batch as the data loader hands it over: uint8 images, labels in regions, trusted pixels for HRDA.

    The first image has a region of a thing class that fills whole cells of the coarsest features.
    """
    random = np.random.RandomState(0)
    shape = (case.batch, case.crop, case.crop)
    label = regions(random, shape, 16, NUM_CLASSES)
    label[regions(random, shape, 16, 10) == 0] = IGNORE
    label[0, :CELL, :CELL] = THING_CLASS
    data: dict[str, Any] = {"gt_semantic_seg": torch.from_numpy(label)}
    for key in ("img", "target_img"):
        colors = [regions(random, shape, 8, 200) for _ in range(3)]
        noise = random.randint(0, 56, (case.batch, 3, case.crop, case.crop))
        data[key] = torch.from_numpy((np.stack(colors, axis=1) + noise).astype(np.uint8))
    if METHODS[case.method].detail:
        valid = torch.ones(shape, dtype=torch.bool)
        valid[:, : case.crop // 32] = valid[:, -case.crop // 8 :] = False
        data["valid_pseudo_mask"] = valid
    if case.device == "cuda":
        data = {key: value.pin_memory() for key, value in data.items()}
    return data


def regions(random: np.random.RandomState, shape: tuple[int, int, int], edge: int, values: int) -> np.ndarray:
    """(B, H, W) uint8 map of square regions of random values below ``values``."""
    batch, height, width = shape
    cells = random.randint(0, values, (batch, -(-height // edge), -(-width // edge)))
    return cells.repeat(edge, axis=1).repeat(edge, axis=2)[:, :height, :width].astype(np.uint8)


class DropRates:
    """Rates of dropout and drop path of a network, to be switched off and on again.

    Args:
        network: Its present rates are kept.
    """

    def __init__(self, network: nn.Module) -> None:
        self._rates = [
            (module, name, getattr(module, name))
            for module in network.modules()
            for name in ("p", "drop_prob")
            if isinstance(getattr(module, name, None), float)
        ]

    def switch(self, on: bool) -> None:
        """Set every rate to what it was, or to 0."""
        for module, name, rate in self._rates:
            setattr(module, name, rate if on else 0.0)
