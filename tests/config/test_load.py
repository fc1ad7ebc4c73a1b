"""From a file to a config."""

import sys
from pathlib import Path

import pytest
from mmengine.config import Config
from toy_run import QUICKSTART

from mmseg import registry
from mmseg.config.load import load_config
from mmseg.errors import ConfigError
from mmseg.registry import MODELS

PART = "from mmseg.registry import MODELS\n@MODELS.register_module(force=True)\nclass {name}:\n    pass\n"


def test_a_config_is_written_as_python_without_being_laid_out(monkeypatch):
    """Which takes some tenths of a second, several times a run."""
    monkeypatch.setattr("yapf.yapflib.yapf_api.FormatCode", None)
    cfg = load_config(QUICKSTART / "daformer.py")
    written = Config.fromstring(cfg.pretty_text, ".py")
    assert written.to_dict() == cfg.to_dict() and written.uda.type == "DACS"


def test_a_config_imports_the_modules_of_its_parts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "parts_of_a_user.py").write_text(PART.format(name="PartOfAUser"))
    config = tmp_path / "config.py"
    config.write_text("custom_imports = dict(imports=['parts_of_a_user'])\n")
    cfg = load_config(config)
    assert MODELS.get("PartOfAUser") is sys.modules["parts_of_a_user"].PartOfAUser
    cfg.dump(tmp_path / "stored.py")
    assert load_config(tmp_path / "stored.py").custom_imports == cfg.custom_imports

    config.write_text("custom_imports = dict(imports=['no_such_module_of_a_user'])\n")
    with pytest.raises(ConfigError, match=r"config\.py: .*no_such_module_of_a_user"):
        load_config(config)


def install_plugin(folder: Path, name: str, module: str) -> None:
    """As pip leaves a package with an entry point behind."""
    (folder / f"{name}.py").write_text(module)
    info = folder / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[mmseg.plugins]\nparts = {name}\n")


@pytest.fixture
def plugins(tmp_path, monkeypatch):
    """A folder of installed packages."""
    monkeypatch.syspath_prepend(str(tmp_path))
    registry.load_plugins.cache_clear()
    yield tmp_path
    registry.load_plugins.cache_clear()


def test_an_installed_package_registers_its_parts(plugins):
    install_plugin(plugins, "plugin_of_a_user", PART.format(name="PartOfAPlugin"))
    load_config(QUICKSTART / "daformer.py")
    assert MODELS.get("PartOfAPlugin").__module__ == "plugin_of_a_user"


def test_a_broken_plugin_is_named(plugins):
    install_plugin(plugins, "broken_plugin", "import no_such_library\n")
    with pytest.raises(ConfigError, match=r"broken_plugin: its plugin .* cannot be loaded .*no_such_library"):
        load_config(QUICKSTART / "daformer.py")


def test_two_bases_with_the_same_part_are_explained(tmp_path):
    for name in ("a", "b"):
        (tmp_path / f"{name}.py").write_text("uda = dict(type='DACS')\n")
    (tmp_path / "both.py").write_text("_base_ = ['a.py', 'b.py']\n")
    with pytest.raises(ConfigError, match=r"both\.py: two files in _base_ both set 'uda'; name one of them"):
        load_config(tmp_path / "both.py")
