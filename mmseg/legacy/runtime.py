"""What drives a run of an old config: log, pictures, random numbers, files to start from."""

from __future__ import annotations

from typing import Any

from mmseg.legacy.old_part import OldPart

LOGGERS = {"TextLoggerHook", "TensorboardLoggerHook"}
"""Their work is done by today's default logging."""


def translate_runtime(old: OldPart, defaults: dict[str, Any], pictures: int | None) -> dict[str, Any]:
    """Hooks, environment and random numbers.

    Args:
        old: The whole config.
        defaults: Today's default runtime.
        pictures: Interval of debug pictures as the method's section names it.
    """
    log = old.part("log_config")
    hooks = dict(defaults["default_hooks"])
    hooks["logger"] = dict(hooks["logger"], interval=log.take("interval", hooks["logger"]["interval"]))
    for logger in log.take("hooks") or []:
        if logger.get("type") not in LOGGERS:
            log.unknown.append(f"{log.name('hooks')}.{logger.get('type')}")
    pictures = log.take("img_interval") or pictures
    log.close()
    custom_hooks = [
        dict(hook, interval=pictures) if pictures and hook["type"] == "DebugPicturesHook" else hook
        for hook in defaults["custom_hooks"]
    ]
    environment = dict(defaults["env_cfg"])
    if "cudnn_benchmark" in old:
        environment["cudnn_benchmark"] = bool(old.take("cudnn_benchmark"))
    distribution = old.part("dist_params")
    backend = distribution.take("backend", "nccl")
    distribution.ignore("port")
    distribution.close()
    if backend != "nccl":
        environment["dist_cfg"] = dict(backend=backend)
    randomness = dict(seed=old.take("seed") or 0)
    if old.take("deterministic"):
        randomness["deterministic"] = True
    start = old.take("load_from")
    if resume := old.take("resume_from"):
        start = resume
        old.unknown.append("resume_from (weights are loaded; optimizer, teacher and iteration start anew)")
    return dict(
        default_hooks=hooks,
        custom_hooks=custom_hooks,
        env_cfg=environment,
        randomness=randomness,
        log_level=old.take("log_level") or defaults["log_level"],
        load_from=start,
    )
