"""Parts are built from configs whose mistakes are explained."""

import functools

import pytest
from mmengine.registry import Registry
from torch import nn

from mmseg.errors import ConfigError
from mmseg.registry import HOOKS, MODELS, OPTIMIZERS, accepted_arguments, build_checked, check_part

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


def test_keys_that_are_no_arguments():
    check_part(dict(type="DebugPicturesHook", interval=3, priority="LOW", _scope_="mmseg"), HOOKS)


def test_parts_of_the_libraries_can_be_named():
    """Each registry is a child of mmengine's, whose parts are checked in the same way."""
    assert isinstance(MODELS.build(dict(type="mmengine.ReLU", inplace=True)), nn.ReLU)
    check_part(dict(type="SGD", lr=1.0, momentum=0.9), OPTIMIZERS)
    with pytest.raises(ConfigError, match=r"SGD has no argument 'momentun'; did you mean 'momentum'"):
        check_part(dict(type="SGD", lr=1.0, momentun=0.9), OPTIMIZERS)
