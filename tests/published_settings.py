"""What the published generators make of the experiment IDs, and our configs in the same terms.

tests/golden/run_names.tsv holds the names of all runs, runs.jsonl.gz the settings of some of them in terms
that belong to no framework.
"""

import csv
import gzip
import inspect
import json
from collections import defaultdict
from typing import Any

from golden_data import GOLDEN
from mmengine.config import Config

from mmseg import datasets  # noqa: F401  (fills the registry)
from mmseg.config.base import base
from mmseg.models.uda import MaskingConsistencyModule
from mmseg.models.uda.parts.masking_consistency_module import OWN_TEACHER
from mmseg.registry import DATASETS


def published_names() -> dict[int, list[str]]:
    names: dict[int, list[str]] = defaultdict(list)
    with open(GOLDEN / "run_names.tsv", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            names[int(row["id"])].append(row["name"])
    return names


def published_settings() -> dict[int, list[dict[str, Any]]]:
    """Of some IDs, for each of their runs."""
    settings: dict[int, list[dict[str, Any]]] = defaultdict(list)
    with gzip.open(GOLDEN / "runs.jsonl.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            settings[row["id"]].append(row)
    return settings


def step(dataset: dict, name: str) -> dict:
    """A transform of a pipeline, empty if it is not there."""
    return next((transform for transform in dataset["pipeline"] if transform["type"] == name), {})


def neutral_dataset(dataset: dict, is_target: bool = False, is_val: bool = False) -> dict[str, Any]:
    part = DATASETS.get(dataset["type"])
    found = dict(
        type=dataset["type"],
        data_root=dataset["data_root"],
        img_dir=dataset.get("img_dir", part.default_img_dir),
        ann_dir=dataset.get("ann_dir", part.default_ann_dir),
        resize=step(dataset, "Resize")["scale"],
    )
    if is_target:  # never looks for labels
        assert not dataset["load_labels"]
        del found["ann_dir"]
    if not is_val:
        crop = step(dataset, "RandomCrop")
        assert crop["crop_size"] == step(dataset, "Pad")["size"]
        found |= dict(crop=crop["crop_size"], cat_max_ratio=crop.get("cat_max_ratio", 1.0))
    if step(dataset, "PhotoMetricDistortion"):
        found["photometric"] = True
    if "crop_pseudo_margins" in dataset:
        found["crop_pseudo_margins"] = dataset["crop_pseudo_margins"]
    return found


def neutral_train(dataset: dict) -> dict[str, Any]:
    if dataset["type"] != "UDADataset":
        return neutral_dataset(dataset)
    return dict(
        type="UDADataset",
        source=neutral_dataset(dataset["source"]),
        target=neutral_dataset(dataset["target"], is_target=True),
        rare_class_sampling=dataset.get("rare_class_sampling"),
        sync_crop_size=dataset.get("sync_crop_size"),
    )


DILATED = dict(strides=[1, 2, 1, 1], dilations=[1, 1, 2, 4], contract_dilation=True)
RESNEST = dict(type="ResNeSt", radix=2, reduction_factor=4, avg_down_stride=True)
RESNEXT = dict(type="ResNeXt", groups=32, base_width=4)
CNNS = {
    "resnet50c": dict(type="ResNetV1c", depth=50),
    "resnet101c": dict(type="ResNetV1c", depth=101),
    "resnext50_32x4d": dict(RESNEXT, depth=50),
    "resnext101_32x4d": dict(RESNEXT, depth=101),
    "resnest50d": dict(RESNEST, depth=50, stem_channels=64),
    "resnest101e": dict(RESNEST, depth=101, stem_channels=128),
    "resnest200e": dict(RESNEST, depth=200, stem_channels=128),
}
"""Name in timm -> the published settings."""


def neutral_backbone(backbone: dict) -> dict[str, Any]:
    if backbone["type"] != "TimmBackbone":
        return backbone
    assert backbone == dict(type="TimmBackbone", name=backbone["name"], output_stride=8)
    return CNNS[backbone["name"]] | DILATED


def neutral_head(head: dict) -> dict[str, Any]:
    head = {"align_corners": False, **head}
    assert head.pop("loss_decode") == dict(type="CrossEntropyLoss", loss_weight=1.0)
    head["norm"] = (head.pop("norm_cfg", None) or {}).get("type")
    params = head.get("decoder_params", {})
    if "embed_dim" in params:
        assert head.pop("decoder_params") == {"embed_dim": params["embed_dim"]}
        head["embed_dim"] = params["embed_dim"]
    elif params:
        fusion, neck = params["fusion_cfg"], params["embed_neck_cfg"]
        head["decoder_params"] = dict(
            embed_dims=params["embed_dims"],
            embed=params["embed_cfg"]["type"],
            embed_neck=neck["type"],
            fusion=fusion["type"],
            fusion_sep=fusion.get("sep"),
            fusion_dilations=fusion.get("dilations"),
            embed_neck_dilations=neck.get("dilations"),
        )
    return head


def defaults(part: type, *names: str) -> dict[str, Any]:
    """Default values of a part's arguments."""
    parameters = inspect.signature(part).parameters
    return {name: parameters[name].default for name in names}


def neutral_masking(masking: dict, method: dict) -> dict[str, Any]:
    """The block generator is the only one and needs no name; a teacher is told from that of the method."""
    teacher = masking.pop("teacher", {})
    for name, own in method.items():
        value = teacher.get(name, own)
        masking[f"mask_{name}"] = "same" if value == own else value
    return dict(masking, mask_generator=dict(type="block", **masking["mask_generator"]))


def neutral_uda(cfg: dict) -> dict[str, Any] | None:
    """Masking and the discriminator's optimizer are parts of their own here."""
    if "uda" not in cfg:
        return None
    uda = dict(cfg["uda"])
    self_training = dict(base("uda/dacs")["uda"], mix="class")
    if uda["type"] == "SourceOnly":
        uda = {**self_training, **uda, "type": "DACS", "source_only": True}
    teacher = {name: uda.get(name, value) for name, value in OWN_TEACHER.items()}
    masking = neutral_masking(uda.pop("masking"), teacher) if uda.get("masking") else {}
    if uda["type"] == "DACS":
        return {"source_only": False, "mix": "class", **uda, **masking}
    teacher |= dict(pseudo_weight_ignore_top=0, pseudo_weight_ignore_bottom=0, blur=True)
    jitter = defaults(MaskingConsistencyModule, "color_jitter_strength", "color_jitter_probability")
    uda = {**teacher, **jitter, **uda, **masking}
    if uda["type"] == "MinEnt":
        uda["lambda_ent"] = uda.pop("lambda_ent_target")
        return uda
    assert uda.pop("published_double_update") is True
    optimizer = dict(cfg["other_networks"]["discriminator"]["optim_wrapper"]["optimizer"])
    (schedule,) = cfg["other_networks"]["discriminator"]["param_scheduler"]
    rate, momenta = optimizer["lr"], tuple(optimizer["betas"])
    assert (optimizer["type"], momenta) == ("Adam", (0.9, 0.99)) and schedule.get("warmup_iters", 0) == 0
    return uda | dict(lr_D=rate, lr_D_power=schedule["power"], lr_D_min=schedule["min_lr"])


def neutral_schedule(cfg: dict) -> dict[str, Any]:
    (schedule,) = cfg["param_scheduler"]
    assert schedule["type"] == "PolyWarmupLR"
    names = ("warmup_iters", "warmup_ratio", "power", "min_lr", "by_epoch")
    return dict(policy="poly", warmup="linear", **{name: schedule[name] for name in names})


def neutral_optimizer(wrapper: dict) -> dict[str, Any]:
    """``fused`` is a matter of speed."""
    optimizer = {name: value for name, value in wrapper["optimizer"].items() if name != "fused"}
    return optimizer | dict(paramwise_cfg=wrapper["paramwise_cfg"])


def neutral(cfg: Config) -> dict[str, Any]:
    """A config in the terms of the published settings.

    Without a counterpart: the labels of targets, which are never used; ``checkpoint_interval`` (40000, or 2),
    since here a checkpoint is written at each evaluation and the last one is kept.
    """
    cfg = cfg.to_dict()
    model, loader = dict(cfg["model"]), cfg["train_dataloader"]
    neck = model.pop("neck", None) or {}
    settings = dict(
        seed=cfg["randomness"]["seed"],
        segmentor=model.pop("type"),
        backbone=neutral_backbone(model.pop("backbone")),
        neck=neck.get("type"),
        auxiliary_head="auxiliary_head" in model,
        decode_head=neutral_head(model.pop("decode_head")),
        **model,
        train=neutral_train(loader["dataset"]),
        val=neutral_dataset(cfg["val_dataloader"]["dataset"], is_val=True),
        batch_size=loader["batch_size"],
        workers=loader["num_workers"],
        uda=neutral_uda(cfg),
        optimizer=neutral_optimizer(cfg["optim_wrapper"]),
        lr_config=neutral_schedule(cfg),
        max_iters=cfg["train_cfg"]["max_iters"],
        eval_interval=cfg["train_cfg"]["val_interval"],
        name=cfg["name"],
        id=cfg["exp"],
        **{key: value for key, value in cfg.items() if key.startswith("name_")},
    )
    return json.loads(json.dumps(settings))  # tuples become lists


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """Published settings without what :func:`neutral` has no counterpart for."""
    row = json.loads(json.dumps(row))
    del row["index"], row["checkpoint_interval"]
    target = row["train"].get("target")
    if target:
        del target["ann_dir"]
        target["img_dir"] = target["img_dir"].rstrip("/")
    if row["uda"] and row["uda"]["type"] == "DACS":
        row["uda"].setdefault("source_only", False)
    return row
