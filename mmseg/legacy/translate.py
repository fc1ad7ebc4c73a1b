"""From a complete config of mmsegmentation 0.x, as DAFormer, HRDA and MIC stored it, to one of today."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmseg.errors import ConfigError
from mmseg.legacy.data import DataTranslator
from mmseg.legacy.model import translate_model
from mmseg.legacy.old_part import OldPart
from mmseg.legacy.runtime import translate_runtime
from mmseg.legacy.schedule import (
    translate_checkpoints,
    translate_learning_rate,
    translate_loop,
    translate_optimizer,
)
from mmseg.legacy.uda import translate_uda

OLD_KEYS = {
    "checkpoint_config", "data", "evaluation", "log_config", "lr_config", "optimizer", "optimizer_config",
    "runner",
}  # fmt: skip
"""Sections that only configs of the 0.x form have."""

TODAYS_KEYS = {"default_hooks", "optim_wrapper", "param_scheduler", "test_dataloader", "train_dataloader"}
"""Sections that only configs of today have."""

NO_MEANING = (
    "_base_", "cfg", "crop_size", "data_root", "dataset_type", "default_scope", "device",
    "find_unused_parameters", "gpu_ids", "gpu_model", "gpus", "img_norm_cfg", "img_scale",
    "mp_start_method", "n_gpus", "norm_cfg", "num_classes", "opencv_num_threads", "use_ddp_wrapper",
)  # fmt: skip
"""Variables that config files shared, and settings of the old launcher."""

LABELS = ("name", "exp", "git_rev", "work_dir")
"""What identifies a run; with everything that begins with ``name_``."""

SYNTHIA_CLASSES = ("16", "13")
"""Subsets of the classes over which scores of training on Synthia are averaged."""


def is_legacy(config: Mapping[str, Any]) -> bool:
    """Whether a config has the 0.x form.

    Raises:
        ConfigError: It mixes both forms.
    """
    data = config.get("data")
    is_section = isinstance(data, Mapping) and not data.keys().isdisjoint(
        {"samples_per_gpu", "train", "val", "test"}
    )
    old = {key for key in OLD_KEYS & config.keys() if key != "data" or is_section}
    today = TODAYS_KEYS & config.keys()
    if old and today and is_section:
        raise ConfigError(
            f"config: {', '.join(sorted(old))} are of the 0.x form, {', '.join(sorted(today))} of today's; "
            "use the files in _base_ that belong to the old config, or write it in today's form"
        )
    return is_section and not today


def translate(config: Mapping[str, Any], defaults: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Translate a config of the 0.x form.

    Args:
        config: The old config, complete.
        defaults: Today's default runtime and loaders without data sets.

    Returns:
        The config in today's form, and the dotted names of entries of the old config that are not in it.

    Raises:
        ConfigError: An entry changes results and has no counterpart.
    """
    old, cfg = OldPart(config), copy.deepcopy(dict(defaults))
    old.expect("fp16", None, because="set optim_wrapper in a config of today for mixed precision")
    old.expect("custom_hooks", None, [], because="name today's hooks in a config of today")
    data = DataTranslator()
    loaders = {key: cfg.pop(key) for key in list(cfg) if key.endswith("_dataloader")}
    cfg |= data.translate(old.part("data"), loaders)

    model = old.part("model")
    test_cfg = old.part("test_cfg")  # it once stood beside the model
    if "mode" in test_cfg:
        model.values.setdefault("test_cfg", test_cfg.values)
    old.ignore("train_cfg")
    cfg["model"] = translate_model(model)
    if preprocessor := data.data_preprocessor():
        cfg["model"]["data_preprocessor"] = preprocessor

    pictures = None
    if old.values.get("uda"):
        sections, pictures = translate_uda(old.part("uda"))
        cfg |= sections
    cfg |= translate_runtime(old, cfg, pictures)
    if "runner" in old:
        cfg |= dict(optim_wrapper=translate_optimizer(old), param_scheduler=translate_learning_rate(old))
        cfg["train_cfg"] = translate_loop(old, cfg["train_cfg"])
        cfg["default_hooks"]["checkpoint"] = translate_checkpoints(
            old, cfg["default_hooks"]["checkpoint"], cfg["train_cfg"]["val_interval"]
        )
    else:  # a config for testing alone
        old.ignore("optimizer", "optimizer_config", "lr_config", "evaluation", "checkpoint_config")
    source = (cfg.get("train_dataloader") or {}).get("dataset", {}).get("source", {})
    if source.get("type") == "SynthiaDataset":
        for split in ("val", "test"):
            cfg[f"{split}_evaluator"] = dict(cfg[f"{split}_evaluator"], class_subsets=SYNTHIA_CLASSES)
    cfg |= {key: old.take(key) for key in list(old.values) if key in LABELS or key.startswith("name_")}
    old.expect(
        "workflow", None, [("train", 1)], [["train", 1]], because="training is only interrupted by evaluation"
    )
    old.ignore("uda", *NO_MEANING, *(key for key in old.values if key.endswith("_pipeline")))
    old.close()
    return cfg, old.unknown
