"""Parts are built from configs whose mistakes are explained."""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
from mmengine.registry import Registry
from torch import nn

from mmseg.errors import ConfigError
from mmseg.registry import (
    HOOKS,
    MODELS,
    OPTIMIZERS,
    accepted_arguments,
    build_checked,
    check_arguments,
    check_part,
)

SHAPES = Registry("shape", build_func=build_checked)


@SHAPES.register_module()
class Shape:
    def __init__(self, color="red", *, width=1):
        self.color, self.width = color, width


@SHAPES.register_module()
class Circle(Shape):
    def __init__(self, radius, **kwargs):
        super().__init__(**kwargs)
        self.radius = radius


@SHAPES.register_module()
class Ring(Circle):
    """Has no constructor of its own."""


@SHAPES.register_module()
class Anything:
    def __init__(self, first=0, **kwargs):
        self.kwargs = kwargs


@SHAPES.register_module()
class Dot:
    pass


@SHAPES.register_module()
def square(side, /, color="red", *rest):
    return side


def test_arguments_of_a_constructor_and_of_those_it_passes_on_to():
    assert accepted_arguments(Shape) == ({"color", "width"}, False)
    assert accepted_arguments(Circle) == ({"radius", "color", "width"}, False)
    assert accepted_arguments(Ring) == ({"radius", "color", "width"}, False)
    assert accepted_arguments(square) == ({"color"}, False), "only what can be given by name"
    assert accepted_arguments(functools.partial(Shape, width=2)) == ({"color", "width"}, False)


def test_any_argument_may_be_known():
    assert accepted_arguments(Anything)[1]
    assert accepted_arguments(Dot) == (set(), True)
    check_part(dict(type="Anything", whatever=1), SHAPES)
    assert SHAPES.build(dict(type="Anything", whatever=1)).kwargs == dict(whatever=1)


def test_parts_are_built_from_a_copy():
    cfg = dict(type="Circle", radius=3, color="blue")
    circle = SHAPES.build(cfg)
    assert (circle.radius, circle.color, circle.width) == (3, "blue", 1)
    assert cfg == dict(type="Circle", radius=3, color="blue")
    assert build_checked(dict(type=Ring, radius=1), SHAPES, dict(color="green")).color == "green"


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (
            dict(type="Cirle", radius=1),
            "config: type='Cirle' is not a registered shape; did you mean Circle?",
        ),
        (
            dict(type="qu"),
            "config: type='qu' is not a registered shape; known: Shape, Circle, Ring, Anything, Dot, square",
        ),
        (dict(type="Circle", raduis=1), "config: Circle has no argument 'raduis'; did you mean 'radius'?"),
        (dict(type="Ring", colour=1), "config: Ring has no argument 'colour'; did you mean 'color'?"),
        (dict(type="Shape", xyz=1), "config: Shape has no argument 'xyz'; known: color, width"),
        (dict(type="Shape", self=1), "config: Shape has no argument 'self'; known: color, width"),
        (dict(radius=1), "config: expected dict(type=...) of a shape, found {'radius': 1}"),
    ],
)
def test_mistakes_are_explained(cfg, message):
    with pytest.raises(ConfigError) as error:
        SHAPES.build(cfg)
    assert str(error.value) == message


def test_place_in_the_config_is_named_and_nothing_is_built():
    check_part(dict(type="Circle"), SHAPES, "shapes.0")  # radius is missing, which building would find
    with pytest.raises(ConfigError, match=r"^config, shapes\.0: Circle has no argument 'x'; known: color"):
        check_part(dict(type="Circle", x=1), SHAPES, "shapes.0")
    with pytest.raises(
        ConfigError, match=r"^config, shapes\.1: expected dict\(type=\.\.\.\) of a shape, found 3"
    ):
        check_part(3, SHAPES, "shapes.1")


def typed(
    whole: int = 1, number: float = 0.5, flag: bool = False, name: str = "", listed: Sequence[int] | int = (),
    pair: tuple[int, int] = (1, 2), numbers: Mapping[str, float] | None = None, mode: Literal["a", "b"] = "a",
    other: nn.Module | dict | None = None, late: int = None,  # noqa: RUF013
) -> None:  # fmt: skip
    """A function whose signature names types."""


@pytest.mark.parametrize(
    "arguments",
    [
        dict(whole=3, number=3, flag=True, name="a", listed=[1, 2], pair=[1, 2], numbers={"a": 1}, mode="b"),
        dict(listed=4, numbers=None, other=nn.ReLU(), late=None),
        dict(other={"type": "x"}, name=Path("a"), number=np.float32(1)),
    ],
)
def test_arguments_of_their_types(arguments):
    check_arguments(typed, arguments, "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(whole=1.0), "f.whole=1.0; expected a whole number"),
        (dict(whole=True), "f.whole=True; expected a whole number"),
        (dict(whole=None), "f.whole=None; expected a whole number"),
        (dict(number="1"), "f.number='1'; expected a number"),
        (dict(number=False), "f.number=False; expected a number"),
        (dict(flag="no"), "f.flag='no'; expected True or False"),
        (dict(flag=0), "f.flag=0; expected True or False"),
        (dict(name=3), "f.name=3; expected a text"),
        (dict(listed="12"), "f.listed='12'; expected a list of whole numbers or a whole number"),
        (dict(listed=[1, "a"]), "f.listed=[1, 'a']; expected a list of whole numbers or a whole number"),
        (dict(pair=[1, 2, 3]), "f.pair=[1, 2, 3]; expected a list of whole numbers"),
        (dict(numbers={"a": "b"}), "f.numbers={'a': 'b'}; expected a dict or None"),
        (dict(mode="c"), "f.mode='c'; expected 'a' or 'b'"),
    ],
)
def test_arguments_of_other_types(arguments, message):
    with pytest.raises(ConfigError) as error:
        check_arguments(typed, arguments, "f.")
    assert str(error.value) == message


def test_types_of_what_a_base_class_takes_and_of_names_that_nobody_knows():
    class Base:
        def __init__(self, size: int = 1) -> None: ...

    class Derived(Base):
        def __init__(self, name: "Unknown" = "", **kwargs) -> None: ...  # noqa: F821

    check_arguments(Derived, dict(name=3), "")
    with pytest.raises(ConfigError, match=r"^Derived size='a'; expected a whole number"):
        check_arguments(Derived, dict(size="a"), "Derived ")


def test_keys_that_are_no_arguments():
    check_part(dict(type="DebugPicturesHook", interval=3, priority="LOW", _scope_="mmseg"), HOOKS)


def test_parts_of_the_libraries_can_be_named():
    """Each registry is a child of mmengine's, whose parts are checked in the same way."""
    assert isinstance(MODELS.build(dict(type="mmengine.ReLU", inplace=True)), nn.ReLU)
    check_part(dict(type="SGD", lr=1.0, momentum=0.9), OPTIMIZERS)
    with pytest.raises(ConfigError, match=r"SGD has no argument 'momentun'; did you mean 'momentum'"):
        check_part(dict(type="SGD", lr=1.0, momentun=0.9), OPTIMIZERS)
