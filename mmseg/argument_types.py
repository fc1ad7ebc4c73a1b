"""Whether a value of a config is of the type that a constructor names for it in its signature."""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

PLAIN = (str, bool, int, float, NoneType, Mapping, list, tuple)
"""What a config can hold; objects that programs hand over are not judged."""
LISTS: tuple[Any, ...] = (list, tuple, Sequence)
DICTS: tuple[Any, ...] = (dict, Mapping)
WORDS = {
    bool: ("True or False", "True or False"),
    int: ("a whole number", "whole numbers"),
    float: ("a number", "numbers"),
    str: ("a text", "texts"),
    NoneType: ("None", "None"),
}
"""Type -> what one of it and several are called."""


def fits(value: Any, hint: Any) -> bool:
    """Whether a value is what a type hint asks for.

    A list and a tuple stand for each other, a whole number for any number; True and False are no numbers.
    Hints of other types than those of a config (modules, functions) take everything.

    Example:
        ``fits((512, 512), Sequence[int] | int)``
    """
    if not isinstance(value, PLAIN):
        return True
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(fits(value, each) for each in inner)
    if kind is Literal:
        return value in inner
    if kind in (None, NoneType):
        return value is None
    if kind in (int, float):
        return isinstance(value, int if kind is int else int | float) and not isinstance(value, bool)
    if kind in (bool, str):
        return isinstance(value, kind)
    if kind in LISTS:
        if not isinstance(value, list | tuple):
            return False
        if kind is tuple and inner and inner[-1] is not Ellipsis:
            return len(value) == len(inner) and all(map(fits, value, inner))
        return not inner or all(fits(each, inner[0]) for each in value)
    if kind in DICTS:
        if not isinstance(value, Mapping):
            return False
        return not inner or all(fits(k, inner[0]) and fits(v, inner[1]) for k, v in value.items())
    return True


def in_words(hint: Any, several: bool = False) -> str:
    """What a type hint asks for, as the end of "expected …"."""
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return " or ".join(dict.fromkeys(in_words(each, several) for each in inner))
    if kind is Literal:
        return " or ".join(map(repr, inner))
    if kind in WORDS:
        return WORDS[kind][several]
    if kind in LISTS:
        return ("lists" if several else "a list") + (f" of {in_words(inner[0], True)}" if inner else "")
    return "dicts" if several else "a dict"


def constructors(part: Any) -> Iterator[Callable[..., Any]]:
    """The functions that take the arguments of a class or function: the first ``__init__``, and as long as
    one has ``**kwargs``, which are taken to be passed on, that of the next base class."""
    functions = [part]
    if inspect.isclass(part):
        functions = [cls.__dict__["__init__"] for cls in inspect.getmro(part) if "__init__" in cls.__dict__]
    for function in functions:
        if function is object.__init__:
            return
        yield function
        if not takes_others(function):
            return


def takes_others(function: Callable[..., Any]) -> bool:
    """Whether a function has ``**kwargs``."""
    return any(p.kind is p.VAR_KEYWORD for p in inspect.signature(function).parameters.values())


def named_arguments(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """What can be given to a function by name."""
    parameters = inspect.signature(function).parameters.values()
    return [p for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY) and p.name != "self"]


@functools.cache
def argument_hints(part: Any) -> dict[str, Any]:
    """Type hint of each argument of a class or function; ``= None`` allows None as well."""
    hints: dict[str, Any] = {}
    for function in constructors(part):
        names = getattr(inspect.unwrap(function), "__globals__", {})
        for parameter in named_arguments(function):
            hint = _resolved(parameter.annotation, names)
            hints.setdefault(parameter.name, hint | None if parameter.default is None else hint)
    return hints


def _resolved(annotation: Any, names: dict[str, Any]) -> Any:
    """A type hint that may be written as text; Any where there is none, or only a type checker knows it."""
    if annotation is inspect.Parameter.empty:
        return Any
    try:
        return get_type_hints(SimpleNamespace(__annotations__={"hint": annotation}), names)["hint"]
    except (NameError, TypeError, AttributeError):
        return Any


def misfits(part: Any, arguments: Mapping[str, Any]) -> Iterator[str]:
    """``NAME=VALUE; expected …`` for each argument that is not of its type."""
    hints = argument_hints(part)
    for name, value in arguments.items():
        if name in hints and not fits(value, hints[name]):
            yield f"{name}={value!r:.80}; expected {in_words(hints[name])}"
