"""What ``--cfg-options KEY=VALUE`` means, by what the config holds at its place."""

from argparse import ArgumentParser

import pytest
from mmengine.config import Config

from mmseg.cli import add_cfg_options
from mmseg.config.load import load_config
from mmseg.errors import ConfigError

CONFIG = """
load_from = None
model = dict(text='x', number=1, rate=0.5, flag=True, sizes=[1, 2], names=['a'], pair=(1, 2), part=dict(a=1))
uda = None
custom_hooks = [dict(type='A', interval=1)]
"""


FOLDERS = """
one = dict(img_dir='a')
two = dict(img_dir=['a', 'b'])
"""


def value(tmp_path, key, text):
    """What a config holds when it is loaded with an option of the command line."""
    (tmp_path / "config.py").write_text(CONFIG + FOLDERS)
    parser = ArgumentParser()
    add_cfg_options(parser)
    options = parser.parse_args(["--cfg-options", f"{key}={text}"]).cfg_options
    found = load_config(tmp_path / "config.py", options)
    for name in key.split("."):
        found = found[int(name) if name.isdigit() else name]
    return found.to_dict() if isinstance(found, Config) else found


@pytest.mark.parametrize(
    "text", ["own data/source", "2024", "1e5", "true", "[a,b]/x", "a,b", "(1", "a=b", "C:\\\\data", "it's"]
)
def test_texts_are_taken_as_typed(tmp_path, text):
    assert value(tmp_path, "model.text", text) == text


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        ("model.text", "None", None),
        ("model.text", "'None'", "None"),
        ("model.text", '" two words "', " two words "),
        ("model.number", "1e5", 100000),
        ("model.rate", "1e-3", 0.001),
        ("model.flag", "false", False),
        ("model.sizes", "[32,64]", [32, 64]),
        ("model.sizes", "32,64", [32, 64]),
        ("model.sizes", "[]", []),
        ("model.pair", "(512,512)", (512, 512)),
        ("model.names", "[a b,c]", ["a b", "c"]),
        ("model.names", "traffic light,'a,b'", ["traffic light", "a,b"]),
        ("model.names", "road", ["road"]),
        ("model.part", "{'b': 2}", {"a": 1, "b": 2}),
        ("model.part", "None", None),
        ("model.new", "[[1,x],(2,)]", [[1, "x"], (2,)]),
        ("model.new", "true", True),
        ("model.part.a", "[1]", [1]),
        ("model.number", "None", None),
        ("model.number", "'a'", "a"),
        ("model.rate", "inf", "inf"),
        ("custom_hooks.0.interval", "all", "all"),
        ("experiment_name", "2024", "2024"),
        ("model.names", "1,true", ["1", "true"]),
        ("model.names", '["a]b",c]', ["a]b", "c"]),
        ("one.img_dir", "[2024,b c]", ["2024", "b c"]),
        ("one.img_dir", "a,b", "a,b"),
        ("one.split", "[None,a.txt]", [None, "a.txt"]),
        ("one.split", "a.txt", "a.txt"),
        ("two.img_dir", "c", "c"),
        ("two.img_dir", "[c]", ["c"]),
        ("two.img_dir", "c,d", ["c", "d"]),
        ("two.img_dir", "None", None),
        ("model.split", "2024", "2024"),
        ("model.split", "a,b.txt", "a,b.txt"),
        ("load_from", "ckpt,v2.pth", "ckpt,v2.pth"),
        ("model.part.id_map", "{7: 0, (1, 2, 3): 1}", {7: 0, (1, 2, 3): 1}),
        ("load_from", "own runs/iter_1.pth", "own runs/iter_1.pth"),
        ("custom_hooks.0.interval", "5", 5),
    ],
)
def test_other_values_are_those_of_python(tmp_path, key, text, expected):
    found = value(tmp_path, key, text)
    assert found == expected and isinstance(found, type(expected))


@pytest.mark.parametrize(
    ("key", "text", "message"),
    [
        ("model.flag", "yes", "model.flag=yes: expected True or False"),
        ("model.sizes", "[1,2", r"model.sizes=\[1,2: \] is missing; quote the whole option"),
        ("model.names", "'a", "' is missing"),
        ("model.part", "{a: 1}", "expected a dict as in Python"),
        ("model.number", "abc", "model.number=abc: expected a number, as 1"),
        ("model.number", "true", "expected a number"),
        ("model.rate", "0,5", "expected a number"),
        ("model.rate", "", "expected a number"),
        ("model.part.a", "b", "expected a number"),
    ],
)
def test_what_is_neither_is_explained(tmp_path, key, text, message):
    with pytest.raises(ConfigError, match=message):
        value(tmp_path, key, text)
