"""What a run of the papers differs in, its published name, and its config.

A :class:`Run` holds axes and a seed; :func:`make_config` puts its config together from the parts in
configs/_base_.
"""

import copy
import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.errors import ConfigError

BASE = Path(__file__).parents[2] / "configs" / "_base_"
SCHEDULE = "poly10warm"
OPTIMIZATION = f"adamw_6e-05_pmTrue_{SCHEDULE}_1x2_40k"

# ------------------------------------------------------------------------------------------------------- axes


@dataclass(frozen=True)
class Detail:
    """HRDA's detail crop: its edge in pixels, the weight of its loss, and names of :data:`DETAIL_OPTIONS`."""

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
class Axes:
    """What the runs of the papers differ in.

    Attributes:
        source: Data set; a name that ends in HR is the set at full resolution.
        target: The same.
        crop: Edge of the training crop in pixels.
        decoder: With ``encoder`` the name of a file in configs/_base_/models.
        encoder: See ``decoder``.
        detail: HRDA, or None.
        slide: Predict in sliding windows of the size of the training crop instead of the whole image.
        uda: File in configs/_base_/uda, or a key of :data:`SUPERVISED`.
        temperature: Of rare class sampling; None = without.
        min_crop_ratio: Share of 3000 pixels that a crop has to show of a rare class.
        sync_crop: Edge of a further crop, at the same place in source and target.
        margins: Where target images get no pseudo-labels, a key of :data:`MARGINS`; None = nowhere.
        masking: MIC, or None.
        workers: Processes that load training data.
        settings: Dotted key -> value, what else this one run sets.
    """

    source: str = "gta"
    target: str = "cityscapes"
    crop: int = 512
    decoder: str = "daformer_sepaspp"
    encoder: str = "mitb5"
    detail: Detail | None = None
    slide: bool = False
    uda: str = "dacs_a999_fdthings"
    temperature: float | None = 0.01
    min_crop_ratio: float = 0.5
    sync_crop: int | None = None
    margins: str | None = None
    masking: Masking | None = None
    workers: int = 1
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def adapts(self) -> bool:
        """Whether source and target train together."""
        return self.uda not in SUPERVISED

    @property
    def final_crop(self) -> int:
        """Edge of what the network sees in training."""
        return (self.adapts and self.sync_crop) or self.crop

    @property
    def model_file(self) -> str:
        """The base config of the network, below configs/_base_."""
        return f"models/{'hrda_' if self.detail else ''}{self.decoder}_{self.encoder}"


SUPERVISED = {"source-only": "source", "target-only": "target"}
"""Training without adaptation -> whose labels it uses."""

MARGINS: dict[str, dict[str, Any]] = {
    "cpl": {"uda.pseudo_weight_ignore_top": 15, "uda.pseudo_weight_ignore_bottom": 120},
    "cpl2": {"train_dataloader.dataset.target.crop_pseudo_margins": [30, 240, 30, 30]},
}
"""Margins of the crop (DAFormer), and of the image: top, bottom, left, right (HRDA)."""

DETAIL_OPTIONS: dict[str, dict[str, Any]] = {
    "fixedatt": {"model.decode_head.fixed_attention": 0.5},
    "nooverlap": {"model.hr_slide_overlapping": False},
    "blurhr": {"model.blur_hr_crop": True},
    "samescale": {"model.scales": [1, 1], "model.feature_scale": 1},
    "sc0.25": {"model.scales": [1, 0.25], "model.feature_scale": 0.25},
    "sc0.75": {"model.scales": [1, 0.75], "model.feature_scale": 0.75},
}

MASK_CODES = {
    "separate": "sep", "separateaug": "spa", "separatesrc": "sps", "separatesrcaug": "spsa",
    "separatetrg": "spt", "separatetrgaug": "spta",
}  # fmt: skip

# ------------------------------------------------------------------------------------------------------ names

ABBREVIATIONS = {
    ".": "", "True": "T", "False": "F", "None": "N",
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
    name = axes.decoder + ("_sl" if axes.slide else "")
    if detail := axes.detail:
        token = "-".join(["hrda1", str(detail.crop), str(detail.loss_weight), *detail.options])
        name = f"{token}_{name}"
    return name


@dataclass(frozen=True)
class Run:
    """One training: the ID it belongs to, its axes and its seed."""

    exp_id: int
    axes: Axes
    seed: int

    @property
    def row_name(self) -> str:
        """The name without the seed."""
        axes = self.axes
        name = "_".join([name_dataset(axes), name_uda(axes), name_decoder(axes), axes.encoder, SCHEDULE])
        for word, short in ABBREVIATIONS.items():
            name = name.replace(word, short)
        return name

    @property
    def name(self) -> str:
        """The published name, as ``gta2cs_target-only_daformer_conv1_mitb5_poly10warm_s0``."""
        return f"{self.row_name}_s{self.seed}"

    @property
    def available(self) -> bool:
        """Whether the network exists in this version."""
        return (BASE / f"{self.axes.model_file}.py").is_file()


# ---------------------------------------------------------------------------------------------------- configs


@functools.cache
def _read(path: Path) -> Config:
    return Config.fromfile(path)


def base(name: str) -> dict[str, Any]:
    """The content of a file in configs/_base_, free to be changed."""
    return copy.deepcopy(_read(BASE / f"{name}.py").to_dict())


def domain(name: str) -> dict[str, Any]:
    """Data sets of a domain by role: ``train`` (labelled), ``target``, ``val``; perhaps its ``evaluator``."""
    plain = name.removesuffix("HR")
    prefix = {"darkzurich": "dark_zurich"}.get(plain, plain)
    size = "_512x512" if plain == name else "HR_1024x1024"
    part = base(f"datasets/parts/{prefix}{size}")
    return {key.removeprefix(f"{prefix}_"): value for key, value in part.items()}


def cropped(dataset: dict[str, Any], edge: int) -> dict[str, Any]:
    """A training set with square crops of another size."""
    sizes = {"RandomCrop": {"crop_size": (edge, edge)}, "Pad": {"size": (edge, edge)}}
    return {**dataset, "pipeline": [{**step, **sizes.get(step["type"], {})} for step in dataset["pipeline"]]}


def augmented(dataset: dict[str, Any]) -> dict[str, Any]:
    """As published, photometric augmentation (before padding) belongs to training without adaptation."""
    *crop_and_flip, pad, pack = dataset["pipeline"]
    return {**dataset, "pipeline": [*crop_and_flip, {"type": "PhotoMetricDistortion"}, pad, pack]}


def data(axes: Axes) -> dict[str, Any]:
    """Data loaders and evaluators of a run."""
    cfg, target = base("datasets/parts/loaders"), domain(axes.target)
    cfg["train_dataloader"].update(num_workers=axes.workers)
    if axes.adapts:
        source = domain(axes.source)
        dataset: dict[str, Any] = dict(
            type="UDADataset",
            source=cropped(source["train"], axes.crop),
            target=cropped(target["target"], axes.crop),
        )
        if axes.temperature is not None:
            dataset["rare_class_sampling"] = dict(
                min_pixels=3000, class_temp=axes.temperature, min_crop_ratio=axes.min_crop_ratio
            )
        if axes.sync_crop:
            dataset["sync_crop_size"] = (axes.sync_crop, axes.sync_crop)
        evaluator = source.get("evaluator", cfg["val_evaluator"])
    else:
        labelled = domain(getattr(axes, SUPERVISED[axes.uda]))["train"]
        dataset, evaluator = augmented(cropped(labelled, axes.crop)), cfg["val_evaluator"]
    cfg["train_dataloader"]["dataset"] = dataset
    for split in ("val", "test"):
        cfg[f"{split}_dataloader"]["dataset"] = copy.deepcopy(target["val"])
        cfg[f"{split}_evaluator"] = copy.deepcopy(evaluator)
    return cfg


def detail_settings(axes: Axes, detail: Detail) -> dict[str, Any]:
    """HRDA by dotted keys."""
    settings: dict[str, Any] = {
        "model.hr_crop_size": (detail.crop, detail.crop),
        "model.decode_head.hr_loss_weight": detail.loss_weight,
    }
    for option in detail.options:
        settings |= DETAIL_OPTIONS[option]
    if detail.crop == axes.final_crop:  # context and detail see the same: both have losses and features
        settings["model.decode_head.lr_loss_weight"] = detail.loss_weight
        if "_fd" in axes.uda:
            settings["model.feature_scale"] = "all"
    return settings


def masking_settings(masking: Masking) -> dict[str, Any]:
    """Arguments of the masking module."""
    return dict(
        mask_mode=masking.mode,
        mask_alpha=masking.alpha,
        mask_pseudo_threshold=masking.threshold,
        mask_lambda=1,
        mask_generator=dict(mask_ratio=masking.ratio, mask_block_size=masking.block_size),
    )


def make_config(run: Run) -> Config:
    """The complete config of a run.

    Raises:
        ConfigError: The network does not exist in this version.
    """
    axes = run.axes
    if not run.available:
        raise ConfigError(f"{run.name}: network not available yet (configs/_base_/{axes.model_file}.py)")
    cfg = Config(base("default_runtime"))
    settings: dict[str, Any] = {"model": base(axes.model_file)["model"], **data(axes)}
    settings |= base("schedules/adamw_mit") | base(f"schedules/{SCHEDULE}")
    if axes.adapts:
        settings |= base(f"uda/{axes.uda}") | MARGINS.get(axes.margins or "", {})
    if axes.masking:
        settings["uda.masking"] = masking_settings(axes.masking)
    if axes.detail:
        settings |= detail_settings(axes, axes.detail)
    if axes.slide:
        window, stride = (axes.final_crop,) * 2, (axes.final_crop // 2,) * 2
        settings["model.test_cfg"] = dict(mode="slide", batched_slide=True, crop_size=window, stride=stride)
    settings |= {
        "randomness.seed": run.seed,
        "exp": run.exp_id,
        "name": run.name,
        "name_dataset": name_dataset(axes),
        "name_architecture": f"{name_decoder(axes)}_{axes.encoder}",
        "name_encoder": axes.encoder,
        "name_decoder": name_decoder(axes),
        "name_uda": name_uda(axes),
        "name_opt": OPTIMIZATION,
        **axes.settings,
    }
    cfg.merge_from_dict(settings)
    return cfg
