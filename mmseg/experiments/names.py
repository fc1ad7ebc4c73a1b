"""What the runs of the papers differ in, and what they are called."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from mmengine.config import Config

from mmseg.experiments.networks import split

# ------------------------------------------------------------------------------------------------------- axes


@dataclass(frozen=True)
class Detail:
    """HRDA's detail crop: its edge in pixels, the weight of its loss, and names of ``DETAIL_OPTIONS``."""

    crop: int = 512
    loss_weight: float = 0.1
    options: tuple[str, ...] = ()


@dataclass(frozen=True)
class Masking:
    """Masked image consistency; the fields are those of the masking module."""

    mode: str = "separatetrgaug"
    ratio: float = 0.7
    block_size: int = 64
    alpha: float | str = "same"
    threshold: float | str | None = "same"


@dataclass(frozen=True)
class Optimization:
    """Optimizer and schedule.

    Attributes:
        optimizer: File in configs/_base_/schedules.
        lr: Base learning rate.
        faster_head: The decode head learns at ten times the base rate.
        schedule: File in configs/_base_/schedules.
        max_iters: Length of the training.
    """

    optimizer: str = "adamw"
    lr: float = 6e-5
    faster_head: bool = True
    schedule: str = "poly10warm"
    max_iters: int = 40000


@dataclass(frozen=True)
class Axes:
    """What the runs of the papers differ in.

    Attributes:
        source: Data set, or several as ``gta+synthia``; a name that ends in HR is the set at full resolution,
            CAug stands for colour augmentation.
        target: The same.
        crop: Edge of the training crop in pixels.
        network: ``<decoder>_<encoder>``, see :mod:`mmseg.experiments.networks`.
        detail: HRDA, or None.
        slide: Predict in sliding windows of the size of the training crop instead of the whole image.
        uda: File in configs/_base_/uda, or a key of :data:`SUPERVISED`.
        temperature: Of rare class sampling; None = without.
        min_crop_ratio: Share of 3000 pixels that a crop has to show of a rare class.
        sync_crop: Edge of a further crop, at the same place in source and target.
        margins: Where target images get no pseudo-labels, a key of ``MARGINS``; None = nowhere.
        masking: MIC, or None.
        optimization: How the weights are learnt.
        workers: Processes that load training data.
        settings: Dotted key -> value, what else these runs set.
    """

    source: str = "gta"
    target: str = "cityscapes"
    crop: int = 512
    network: str = "daformer_sepaspp_mitb5"
    detail: Detail | None = None
    slide: bool = False
    uda: str = "dacs_a999_fdthings"
    temperature: float | None = 0.01
    min_crop_ratio: float = 0.5
    sync_crop: int | None = None
    margins: str | None = None
    masking: Masking | None = None
    optimization: Optimization = Optimization()
    workers: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    start: ClassVar[None] = None
    """These runs start from ImageNet weights."""
    title: ClassVar[str] = ""
    meaning: ClassVar[str] = ""
    group: ClassVar[str] = ""
    norm_images: ClassVar[str] = ""
    """Tables show the name."""
    startup: ClassVar[None] = None

    @property
    def name(self) -> str:
        """The published name of the runs, without seed."""
        return name_run(self)

    @property
    def max_iters(self) -> int:
        """Iterations of a run."""
        return self.optimization.max_iters

    def config(self) -> Config:
        """The complete config, but for what tells one run from another."""
        from mmseg.experiments.make_config import make_config  # which reads these axes

        return make_config(self)

    @property
    def adapts(self) -> bool:
        """Whether source and target train together."""
        return self.uda not in SUPERVISED

    @property
    def final_crop(self) -> int:
        """Edge of what the network sees in training."""
        return (self.adapts and self.sync_crop) or self.crop


SUPERVISED = {"source-only": "source", "target-only": "target"}
"""Training without adaptation -> whose labels it uses."""

# ------------------------------------------------------------------------------------------------------ names

MASK_CODES = {
    "separate": "sep", "separateaug": "spa", "separatesrc": "sps", "separatesrcaug": "spsa",
    "separatetrg": "spt", "separatetrgaug": "spta",
}  # fmt: skip
ABBREVIATIONS = {
    ".": "", "+": "", "True": "T", "False": "F", "None": "N",
    "cityscapes": "cs", "synthia": "syn", "darkzurich": "dzur",
}  # fmt: skip
"""What the name of a run shortens, in this order."""


def name_dataset(axes: Axes) -> str:
    """As ``gtaHR2cityscapesHR_1024x1024``."""
    size = "" if axes.crop == 512 else f"_{axes.crop}x{axes.crop}"
    return f"{axes.source}2{axes.target}{size}"


def name_uda(axes: Axes) -> str:
    """As ``dacs_a999_fdthings_rcs0.01-2.0_cpl2_m64-0.7-spta``."""
    if not axes.adapts:
        return axes.uda
    name = axes.uda
    if axes.temperature is not None:
        name += f"_rcs{axes.temperature}" + (f"-{axes.min_crop_ratio}" if axes.min_crop_ratio != 0.5 else "")
    if axes.sync_crop:
        name += f"_sf{axes.sync_crop}x{axes.sync_crop}"
    if axes.margins:
        name += f"_{axes.margins}"
    if masking := axes.masking:
        name += f"_m{masking.block_size}-{masking.ratio}-"
        name += "" if masking.alpha == "same" else f"a{masking.alpha}-"
        name += "" if masking.threshold == "same" else f"p{masking.threshold}-"
        name += MASK_CODES[masking.mode]
    return name


def name_decoder(axes: Axes) -> str:
    """As ``hrda1-512-0.1_daformer_sepaspp_sl``."""
    name = split(axes.network)[0] + ("_sl" if axes.slide else "")
    if detail := axes.detail:
        token = "-".join(["hrda1", str(detail.crop), str(detail.loss_weight), *detail.options])
        name = f"{token}_{name}"
    return name


def name_encoder(axes: Axes) -> str:
    """As ``mitb5``."""
    return split(axes.network)[1]


def name_opt(axes: Axes) -> str:
    """As ``adamw_6e-05_pmTrue_poly10warm_1x2_40k``: one process, two images."""
    by = axes.optimization
    return f"{by.optimizer}_{by.lr}_pm{by.faster_head}_{by.schedule}_1x2_{by.max_iters // 1000}k"


def name_run(axes: Axes) -> str:
    """As ``gtaCAug2cs_minent_dlv2red_r101v1c_poly10warm_sgd_00025_pmF``: what is not usual is named."""
    by, usual = axes.optimization, Optimization()
    parts = [name_dataset(axes), name_uda(axes), name_decoder(axes), name_encoder(axes), by.schedule]
    if by.optimizer != usual.optimizer:
        parts.append(by.optimizer)
    if by.lr != usual.lr:
        parts.append(str(by.lr))
    if not by.faster_head:
        parts.append(f"pm{by.faster_head}")
    name = "_".join(parts)
    for word, short in ABBREVIATIONS.items():
        name = name.replace(word, short)
    return name
