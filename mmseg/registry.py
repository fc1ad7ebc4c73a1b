"""One registry per kind of part.

A part is built from ``dict(type='Name', **arguments)``. Every registry is a child of mmengine's registry of the same
kind, so parts of mmengine and mmcv can be named in a config as well.
"""

import difflib
import inspect
from typing import Any

import mmengine.registry as root
from mmengine.registry import Registry, build_from_cfg

from mmseg.errors import ConfigError


def build_checked(cfg: dict, registry: Registry, default_args: dict | None = None, **kwargs: Any) -> Any:
    """Build a registered part and refuse arguments it does not know.

    Raises:
        ConfigError: The type is not registered, or an argument is unknown; the closest known names are given.
    """
    name = cfg.get("type") if isinstance(cfg, dict) else None
    part = registry.get(name) if isinstance(name, str) else name
    if part is None:
        close = difflib.get_close_matches(str(name), registry.module_dict, n=3)
        raise ConfigError(
            f"config: type={name!r} is not a registered {registry.name}"
            + (f"; did you mean {' or '.join(close)}?" if close else f"; known: {', '.join(registry.module_dict)}")
        )
    _check_arguments(part, {key for key in cfg if key not in ("type", "_scope_")})
    return build_from_cfg(cfg, registry, default_args)


def _check_arguments(part: Any, given: set[str]) -> None:
    known: set[str] = set()
    for cls in inspect.getmro(part) if inspect.isclass(part) else [part]:
        function = cls.__dict__.get("__init__") if inspect.isclass(cls) else cls
        if function is None:
            continue
        parameters = inspect.signature(function).parameters.values()
        known |= {p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)}
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break  # whatever is not named here cannot be passed on to a base class
    else:
        return  # keyword arguments are accepted all the way down
    for key in sorted(given - known):
        close = difflib.get_close_matches(key, known, n=1)
        hint = f"; did you mean {close[0]!r}?" if close else f"; known: {', '.join(sorted(known - {'self'}))}"
        raise ConfigError(f"config: {part.__name__} has no argument {key!r}{hint}")


def _child(name: str, parent: Registry, *locations: str) -> Registry:
    return Registry(name, build_func=build_checked, parent=parent, scope="mmseg", locations=list(locations))


MODELS = _child("model", root.MODELS, "mmseg.models")
DATASETS = _child("dataset", root.DATASETS, "mmseg.datasets")
DATA_SAMPLERS = _child("data sampler", root.DATA_SAMPLERS, "mmseg.datasets")
TRANSFORMS = _child("transform", root.TRANSFORMS, "mmseg.datasets")
FUNCTIONS = _child("function", root.FUNCTIONS, "mmseg.datasets")
HOOKS = _child("hook", root.HOOKS, "mmseg.engine")
LOOPS = _child("loop", root.LOOPS, "mmseg.engine")
PARAM_SCHEDULERS = _child("parameter scheduler", root.PARAM_SCHEDULERS, "mmseg.engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child("optimizer constructor", root.OPTIM_WRAPPER_CONSTRUCTORS, "mmseg.engine")
OPTIM_WRAPPERS = _child("optimizer wrapper", root.OPTIM_WRAPPERS, "mmseg.engine")
METRICS = _child("metric", root.METRICS, "mmseg.evaluation")
LOG_PROCESSORS = _child("log processor", root.LOG_PROCESSORS, "mmseg.engine")
VISUALIZERS = _child("visualizer", root.VISUALIZERS, "mmseg.visualization")
