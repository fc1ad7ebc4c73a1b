"""The config of a run of the papers, put together from the parts in configs/_base_."""

import copy
from typing import Any

from mmengine.config import Config

from mmseg.config.base import base
from mmseg.config.load import with_todays_names
from mmseg.experiments.names import (
    SUPERVISED,
    Axes,
    Detail,
    Masking,
    Optimization,
    name_dataset,
    name_decoder,
    name_encoder,
    name_opt,
    name_uda,
)
from mmseg.experiments.networks import network

MARGINS: dict[str, dict[str, Any]] = {
    "cpl": {"uda.pseudo_weight_ignore_top": 15, "uda.pseudo_weight_ignore_bottom": 120},
    "cpl2": {"train_dataloader.dataset.target.crop_pseudo_margins": [30, 240, 30, 30]},
}
"""Margins of the crop (DAFormer), and of the image: top, bottom, left, right (HRDA)."""

HRDA_KEYS = ("type", "scales", "feature_scale", "crop_coord_divisible", "hr_slide_inference")
HRDA_HEAD_KEYS = ("type", "attention_classwise")
"""What HRDA adds to a network and to its head, whatever these are."""

DETAIL_OPTIONS: dict[str, dict[str, Any]] = {
    "fixedatt": {"model.decode_head.fixed_attention": 0.5},
    "singleatt": {"model.decode_head.attention_classwise": False},
    "nooverlap": {"model.hr_slide_overlapping": False},
    "blurhr": {"model.blur_hr_crop": True},
    "samescale": {"model.scales": [1, 1], "model.feature_scale": 1},
    "sc0.25": {"model.scales": [1, 0.25], "model.feature_scale": 0.25},
    "sc0.75": {"model.scales": [1, 0.75], "model.feature_scale": 0.75},
}


def domain(name: str) -> dict[str, Any]:
    """Data sets of a domain by role: ``train`` (labelled), ``target``, ``val``; perhaps its ``evaluator``."""
    augmented_name = name.removesuffix("HR")
    plain = augmented_name.removesuffix("CAug")
    prefix = {"darkzurich": "dark_zurich"}.get(plain, plain)
    size = "_512x512" if augmented_name == name else "HR_1024x1024"
    part = base(f"datasets/parts/{prefix}{size}")
    sets = {key.removeprefix(f"{prefix}_"): value for key, value in part.items()}
    return sets if plain == augmented_name else {**sets, "train": augmented(sets["train"])}


def cropped(dataset: dict[str, Any], edge: int) -> dict[str, Any]:
    """A training set with square crops of another size."""
    sizes = {"RandomCrop": {"crop_size": (edge, edge)}, "Pad": {"size": (edge, edge)}}
    return {**dataset, "pipeline": [{**step, **sizes.get(step["type"], {})} for step in dataset["pipeline"]]}


def augmented(dataset: dict[str, Any]) -> dict[str, Any]:
    """A training set with photometric augmentation, as published before padding."""
    *crop_and_flip, pad, pack = dataset["pipeline"]
    return {**dataset, "pipeline": [*crop_and_flip, {"type": "PhotoMetricDistortion"}, pad, pack]}


def data(axes: Axes) -> dict[str, Any]:
    """Data loaders and evaluators of a run."""
    cfg, target = base("datasets/parts/loaders"), domain(axes.target)
    cfg["train_dataloader"].update(num_workers=axes.workers)
    if axes.adapts:
        sources = {name.removesuffix("HR"): domain(name) for name in axes.source.split("+")}
        labelled = {
            name: dict(dataset=cropped(source["train"], axes.crop)) for name, source in sources.items()
        }
        dataset: dict[str, Any] = dict(
            type="UDADataset",
            source=labelled if len(labelled) > 1 else next(iter(labelled.values()))["dataset"],
            target=cropped(target["target"], axes.crop),
        )
        if axes.temperature is not None:
            # a config file has no word for infinity
            temperature = "inf" if axes.temperature == float("inf") else axes.temperature
            dataset["rare_class_sampling"] = dict(
                min_pixels=3000, class_temp=temperature, min_crop_ratio=axes.min_crop_ratio
            )
        if axes.sync_crop:
            dataset["sync_crop_size"] = (axes.sync_crop, axes.sync_crop)
        evaluators = [source["evaluator"] for source in sources.values() if "evaluator" in source]
        evaluator = evaluators[0] if evaluators else cfg["val_evaluator"]
    else:
        images = domain(getattr(axes, SUPERVISED[axes.uda]))["train"]
        dataset, evaluator = augmented(cropped(images, axes.crop)), cfg["val_evaluator"]
    cfg["train_dataloader"]["dataset"] = dataset
    for split in ("val", "test"):
        cfg[f"{split}_dataloader"]["dataset"] = copy.deepcopy(target["val"])
        cfg[f"{split}_evaluator"] = copy.deepcopy(evaluator)
    return cfg


def detail_settings(axes: Axes, detail: Detail, head: str) -> dict[str, Any]:
    """HRDA over a network with a type of head, by dotted keys."""
    model = base("models/hrda_daformer_sepaspp_mitb5")["model"]
    settings: dict[str, Any] = {
        **{f"model.{key}": model[key] for key in HRDA_KEYS},
        **{f"model.decode_head.{key}": model["decode_head"][key] for key in HRDA_HEAD_KEYS},
        "model.hr_crop_size": (detail.crop, detail.crop),
        "model.decode_head.single_scale_head": head,
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


def optimization_settings(by: Optimization, encoder: str) -> dict[str, Any]:
    """Optimizer, schedule and length by dotted keys."""
    keys = base("schedules/adamw_mit")["optim_wrapper"]["paramwise_cfg"]["custom_keys"]
    wanted = (["head"] if by.faster_head else []) + (["pos_block", "norm"] if "mit" in encoder else [])
    return {
        **base(f"schedules/{by.optimizer}"),
        **base(f"schedules/{by.schedule}"),
        "optim_wrapper.optimizer.lr": by.lr,
        "optim_wrapper.paramwise_cfg": dict(custom_keys={name: keys[name] for name in wanted}),
        "train_cfg.max_iters": by.max_iters,
    }


def make_config(axes: Axes) -> Config:
    """The complete config of the runs of a row, but for seed, ID and name."""
    model = network(axes.network, multi_resolution=axes.detail is not None)
    settings: dict[str, Any] = {"model": model, **data(axes)}
    settings |= optimization_settings(axes.optimization, name_encoder(axes))
    if axes.adapts:
        settings |= base(f"uda/{axes.uda}") | MARGINS.get(axes.margins or "", {})
    if axes.masking:
        settings["uda.masking"] = masking_settings(axes.masking)
    if axes.detail:
        settings |= detail_settings(axes, axes.detail, model["decode_head"]["type"])
    if axes.slide:
        window, stride = (axes.final_crop,) * 2, (axes.final_crop // 2,) * 2
        settings["model.test_cfg"] = dict(mode="slide", batched_slide=True, crop_size=window, stride=stride)
    settings |= {
        "name_dataset": name_dataset(axes),
        "name_architecture": f"{name_decoder(axes)}_{name_encoder(axes)}",
        "name_encoder": name_encoder(axes),
        "name_decoder": name_decoder(axes),
        "name_uda": name_uda(axes),
        "name_opt": name_opt(axes),
        **axes.settings,
    }
    cfg = Config(base("default_runtime"), format_python_code=False)
    cfg.merge_from_dict(settings)
    return with_todays_names(cfg)
