"""A small training of generators on the toy scenes."""

from pathlib import Path
from typing import Any

from mmengine.config import Config
from toy_run import ROOT, toy_config

UDA = ROOT / "configs" / "_base_" / "uda"
PARTS = ("uda", "other_networks", "optim_wrapper")
TINY = {
    "uda.generator": dict(type="ResnetGenerator", blocks=1, channels=4, dropout_ratio=0.5),
    "uda.discriminator": dict(type="PatchDiscriminator", layers=1, channels=4),
    "uda.pool_size": 2,
}


def translation_config(
    data: Path, work_dir: Path, options: dict[str, Any] | None = None, method: str = "cyclegan"
) -> Config:
    """The quickstart's data with generators in place of a segmentor."""
    cfg = toy_config("dacs", data, work_dir, {"train_dataloader.dataset.rare_class_sampling": None})
    for key in (
        "model",
        "uda",
        "param_scheduler",
        "val_dataloader",
        "val_cfg",
        "val_evaluator",
        "optim_wrapper",
    ):
        cfg.pop(key, None)
    part = Config.fromfile(UDA / f"{method}.py")
    cfg.merge_from_dict({name: part[name] for name in PARTS if name in part})
    kept = {"default_hooks.checkpoint.max_keep_ckpts": 5, "custom_hooks.0.interval": 2}
    cfg.merge_from_dict(TINY | kept | (options or {}))
    return cfg
