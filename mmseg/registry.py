"""One registry per kind of part.

A part is built from ``dict(type='Name', **arguments)``. Every registry is a child of mmengine's registry of
the same kind, so parts of mmengine and mmcv can be named in a config as well.
"""

import difflib
import functools
from collections.abc import Mapping
from importlib.metadata import entry_points
from typing import Any

import mmengine.registry as root
from mmengine.registry import Registry, build_from_cfg

from mmseg.argument_types import constructors, misfits, named_arguments, takes_others
from mmseg.errors import ConfigError

PLUGINS = "mmseg.plugins"
"""Group of entry points; an installed package names modules there that register its parts."""
BUILD_ARGUMENTS = {"type", "_scope_", "_delete_", "constructor", "paramwise_cfg", "optimizer", "priority"}
"""Keys of a part's config that are not arguments of its class."""


@functools.cache
def load_plugins() -> None:
    """Import what installed packages have named as plugins, once.

    Raises:
        ConfigError: A plugin cannot be imported; its package is named.
    """
    for plugin in entry_points(group=PLUGINS):
        try:
            plugin.load()
        except Exception as error:  # a module can do anything
            package = plugin.dist.name if plugin.dist else "an installed package"
            raise ConfigError(
                f"{package}: its plugin {plugin.value} cannot be loaded ({type(error).__name__}: {error}); "
                f"update it, or run: pip uninstall {package}"
            ) from error


def build_checked(cfg: dict, registry: Registry, default_args: dict | None = None, **kwargs: Any) -> Any:
    """Build a registered part and refuse arguments it does not know.

    Raises:
        ConfigError: The type is not registered, or an argument is unknown; the closest known names are given.
    """
    check_part(cfg, registry)
    return build_from_cfg(cfg, registry, default_args)


def check_part(cfg: Any, registry: Registry, place: str = "") -> None:
    """Check type, argument names and types of arguments of a part's config without building it.

    Args:
        cfg: The part's config.
        registry: Where its type is looked up.
        place: Where the part stands in the config, for messages.

    Raises:
        ConfigError: There is no type, it is not registered, or an argument is unknown or of another type.
    """
    where = f"config, {place}" if place else "config"
    if not isinstance(cfg, dict) or "type" not in cfg:
        raise ConfigError(f"{where}: expected dict(type=...) of a {registry.name}, found {cfg!r:.80}")
    name = cfg["type"]
    part = registry.get(name) if isinstance(name, str) else name
    if part is None:
        names = {**(registry.parent.module_dict if registry.parent else {}), **registry.module_dict}
        close = difflib.get_close_matches(str(name), names, n=3)
        hint = f"did you mean {' or '.join(close)}?" if close else f"known: {', '.join(names)}"
        raise ConfigError(f"{where}: type={name!r} is not a registered {registry.name}; {hint}")
    known, any_other = accepted_arguments(part)
    for key in sorted(set(cfg) - BUILD_ARGUMENTS - known):
        close = difflib.get_close_matches(key, known, n=1, cutoff=0.8 if any_other else 0.6)
        if close or not any_other:
            hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(sorted(known))}"
            raise ConfigError(f"{where}: {part.__name__} has no argument {key!r}; {hint}")
    arguments = {key: value for key, value in cfg.items() if key not in BUILD_ARGUMENTS}
    owner = f"{place}." if place else f"{getattr(part, '__name__', name)} "
    check_arguments(part, arguments, f"config: {owner}")


def check_arguments(part: Any, arguments: Mapping[str, Any], place: str) -> None:
    """Check the types of a part's arguments, where its signature names types that a config can hold.

    Args:
        part: A class or function.
        arguments: By name.
        place: Beginning of the message, which the name of the argument completes.

    Raises:
        ConfigError: One is of another type.
    """
    for misfit in misfits(part, arguments):
        raise ConfigError(place + misfit)


def accepted_arguments(part: Any) -> tuple[set[str], bool]:
    """Names of the arguments of a class or function, and whether it takes others as well.

    ``**kwargs`` of a constructor are taken to be passed on to the base class.
    """
    functions = list(constructors(part))
    names = {parameter.name for function in functions for parameter in named_arguments(function)}
    return names, not functions or takes_others(functions[-1])


def _child(name: str, parent: Registry | None, *locations: str) -> Registry:
    return Registry(name, build_func=build_checked, parent=parent, scope="mmseg", locations=list(locations))


MODELS = _child("model", root.MODELS, "mmseg.models")
DATASETS = _child("dataset", root.DATASETS, "mmseg.datasets")
DATA_SAMPLERS = _child("data sampler", root.DATA_SAMPLERS, "mmseg.datasets")
TRANSFORMS = _child("transform", root.TRANSFORMS, "mmseg.datasets")
TRANSLATORS = _child("translator", None, "mmseg.models.translation")
LABELLERS = _child("labeller", None, "mmseg.labelling")
HOOKS = _child("hook", root.HOOKS, "mmseg.engine")
LOOPS = _child("loop", root.LOOPS, "mmseg.engine")
PARAM_SCHEDULERS = _child("parameter scheduler", root.PARAM_SCHEDULERS, "mmseg.engine")
OPTIMIZERS = _child("optimizer", root.OPTIMIZERS, "mmseg.engine")
OPTIM_WRAPPER_CONSTRUCTORS = _child("optimizer constructor", root.OPTIM_WRAPPER_CONSTRUCTORS, "mmseg.engine")
OPTIM_WRAPPERS = _child("optimizer wrapper", root.OPTIM_WRAPPERS, "mmseg.engine")
METRICS = _child("metric", root.METRICS, "mmseg.evaluation")
VISUALIZERS = _child("visualizer", root.VISUALIZERS, "mmseg.visualization")
VISBACKENDS = _child("visualizer backend", root.VISBACKENDS, "mmseg.visualization")
