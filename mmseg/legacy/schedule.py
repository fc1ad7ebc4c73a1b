"""Optimizer, learning rate, length, evaluation and checkpoints of an old config."""

from __future__ import annotations

from typing import Any

from mmseg.errors import ConfigError
from mmseg.legacy.old_part import OldPart
from mmseg.registry import OPTIMIZERS, check_part

FUSED = {"AdamW"}
"""Optimizers that update all parameters of a group in one operation."""


def translate_optimizer(old: OldPart) -> dict[str, Any]:
    """Today's ``optim_wrapper``.

    Raises:
        ConfigError: The run was in mixed precision, or accumulated gradients.
    """
    part = old.part("optimizer")
    part.expect("constructor", "DefaultOptimizerConstructor", because="groups are made by paramwise_cfg")
    paramwise = part.take("paramwise_cfg")
    optimizer = part.values
    if "type" not in optimizer:
        part.need("type")
    if "betas" in optimizer:
        optimizer["betas"] = tuple(optimizer["betas"])
    if optimizer["type"] in FUSED:
        optimizer["fused"] = True
    check_part(optimizer, OPTIMIZERS, "optimizer")
    wrapper: dict[str, Any] = dict(
        type="SegmentationOptimWrapper", constructor="GroupedOptimWrapperConstructor", optimizer=optimizer
    )
    if paramwise:
        wrapper["paramwise_cfg"] = paramwise
    hook = old.part("optimizer_config")
    hook.expect("type", "OptimizerHook", because="set optim_wrapper in today's config for mixed precision")
    if clip := hook.take("grad_clip"):
        wrapper["clip_grad"] = clip
    hook.refuse_rest("the optimizer has no such setting")
    return wrapper


def translate_learning_rate(old: OldPart) -> list[dict[str, Any]]:
    """Today's ``param_scheduler``: polynomial decay with a linear warm-up, or a constant rate.

    Raises:
        ConfigError: The learning rate has another course.
    """
    if not old.values.get("lr_config"):
        old.ignore("lr_config")
        return []
    part = old.part("lr_config")
    policy = str(part.need("policy"))
    warmup = part.take("warmup")
    if policy.lower() not in ("poly", "fixed") or warmup not in (None, "linear"):
        raise ConfigError(
            f"old config: lr_config.policy={policy!r} with warmup={warmup!r} cannot be translated, expected "
            "'poly' or 'fixed' with warmup 'linear' or None; set param_scheduler in a config of today"
        )
    part.expect("by_epoch", False, because="runs are counted in iterations")
    iters, ratio = part.take("warmup_iters", 0), part.take("warmup_ratio", 0.1)
    schedule = dict(
        type="PolyWarmupLR",
        by_epoch=False,
        power=part.take("power", 1.0) if policy.lower() == "poly" else 0.0,
        min_lr=part.take("min_lr", 0.0),
        warmup_iters=iters if warmup else 0,
    )
    if schedule["warmup_iters"]:
        schedule["warmup_ratio"] = ratio
    part.expect("warmup_by_epoch", False, because="runs are counted in iterations")
    part.refuse_rest("the schedule has no such setting")
    return [schedule]


def translate_loop(old: OldPart, train_cfg: dict[str, Any]) -> dict[str, Any]:
    """Today's ``train_cfg``: length of the run and interval of the evaluation.

    Raises:
        ConfigError: The run was counted in epochs.
    """
    runner = old.part("runner")
    runner.expect("type", "IterBasedRunner", because="runs are counted in iterations")
    length = runner.need("max_iters")
    runner.close()
    part = old.part("evaluation")
    interval = part.take("interval", length)
    part.expect("metric", "mIoU", ["mIoU"], because="evaluation computes IoU, accuracy and their means")
    part.expect("by_epoch", False, because="runs are counted in iterations")
    # the best checkpoint is always kept, and the metric is computed on the way
    part.ignore("save_best", "rule", "pre_eval", "efficient_test", "gpu_collect", "start")
    part.close()
    return dict(train_cfg, max_iters=length, val_interval=interval)


def translate_checkpoints(old: OldPart, hook: dict[str, Any], val_interval: int) -> dict[str, Any]:
    """Today's checkpoint hook.

    Where old files are deleted anyway, one is written at each evaluation, too: so little is lost when a run
    is interrupted.
    """
    part = old.part("checkpoint_config")
    part.expect("by_epoch", False, because="runs are counted in iterations")
    part.ignore("save_optimizer", "create_symlink", "meta", "out_dir", "save_last", "type")
    kept = part.take("max_keep_ckpts", -1)
    interval = part.take("interval", val_interval)
    if kept > 0 and interval > 0:
        interval = min(interval, val_interval)
        kept = max(kept, hook["max_keep_ckpts"])  # one to fall back to
    part.close()
    return dict(hook, interval=interval, max_keep_ckpts=kept)
