"""Rules of the house that no single part can hold: imports, docstrings, configs, paths."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from mmengine.config import Config

from mmseg import datasets, engine, evaluation, models  # noqa: F401  (fill the registries)
from mmseg.config.checks import check_config, trains_student
from mmseg.datasets import UDADataset
from mmseg.datasets.loaders import data_of
from mmseg.models.backbones.mix_transformer import ARCHITECTURES
from mmseg.registry import DATASETS, MODELS, TRANSFORMS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "mmseg"
SOURCES = sorted(PACKAGE.rglob("*.py"))
CONFIGS = sorted(path for path in (ROOT / "configs").rglob("*.py") if "generated" not in path.parts)

FOUNDATION = {"argument_types", "checkpoints", "errors", "labels", "registry", "version"}
NETWORK_PARTS = {"models.backbones", "models.necks", "models.decode_heads", "models.losses", "models.layers"}
"""What each part of the package may import besides itself; ``models`` stands for single files in it."""
MAY_IMPORT = {
    "errors": set(),
    "labels": set(),
    "version": set(),
    "argument_types": set(),
    "registry": {"argument_types", "errors"},
    "cli": FOUNDATION | {"config"},
    "checkpoints": {"errors", "registry"},
    "labelling": FOUNDATION,
    "datasets": FOUNDATION | {"labelling"},
    "evaluation": FOUNDATION | {"datasets"},
    "visualization": FOUNDATION,
    "toy": FOUNDATION | {"datasets"},
    "models": FOUNDATION,
    "models.layers": FOUNDATION,
    "models.losses": FOUNDATION | {"models", "models.layers"},
    "models.backbones": FOUNDATION | {"models", "models.layers"},
    "models.necks": FOUNDATION | {"models", "models.layers"},
    "models.decode_heads": FOUNDATION | {"models", "models.layers", "models.losses"},
    "models.segmentors": FOUNDATION | NETWORK_PARTS | {"models"},
    "models.translation": FOUNDATION | NETWORK_PARTS | {"models"},
    "models.uda": FOUNDATION | NETWORK_PARTS | {"labelling", "models", "models.segmentors"}
    | {"models.translation"},
    "engine": FOUNDATION | {"datasets", "evaluation", "labelling", "visualization"}
    | {"models", "models.layers", "models.segmentors", "models.uda"},
    "legacy": FOUNDATION | {"models", "models.backbones"},
    "config": FOUNDATION | {"datasets", "labelling", "legacy"},
    "experiments": FOUNDATION | {"config", "datasets", "legacy", "toy"},
    "apis": FOUNDATION | {"config", "datasets", "engine", "evaluation", "labelling", "visualization"}
    | {"models", "models.layers", "models.segmentors", "models.translation", "models.uda"},
    "reports": FOUNDATION | {"apis", "config", "datasets", "evaluation", "visualization"}
    | {"experiments", "legacy", "models", "toy"},
    "launch": FOUNDATION | {"apis", "cli", "config", "experiments", "reports"},
    "commands": FOUNDATION | {"apis", "cli", "config", "datasets", "evaluation", "labelling"}
    | {"models.segmentors"}
    | {"models.backbones", "models.layers", "models.translation"}
    | {"experiments", "launch", "legacy", "reports", "toy", "visualization"},
}  # fmt: skip


def part_of(module: str) -> str:
    """``mmseg.models.uda.dacs`` → ``models.uda``, ``mmseg.checkpoints.weights`` → ``models``."""
    names = module.split(".")[1:]
    if names[:1] == ["models"] and len(names) > 1 and (PACKAGE / "models" / names[1]).is_dir():
        return ".".join(names[:2])
    return names[0] if names else ""


def imported_modules(path: Path) -> Iterator[str]:
    """Every module that a file imports, also inside of functions."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            module = node.module or ""
            inside = {"mmseg", "mmseg.models"}  # from mmseg.models import losses
            yield from ([f"{module}.{alias.name}" for alias in node.names] if module in inside else [module])


def module_name(path: Path) -> str:
    names = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(names[:-1] if names[-1] == "__init__" else names)


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_imports_go_downward_only(path):
    if path in (PACKAGE / "__init__.py", PACKAGE / "models" / "__init__.py"):
        return  # they only collect
    part = part_of(module_name(path))
    assert part in MAY_IMPORT, f"{path}: a new part of the package needs its place in MAY_IMPORT"
    allowed = MAY_IMPORT[part] | {part}
    for module in imported_modules(path):
        top = module.split(".")[0]
        assert top not in {"tools", "demo", "benchmarks", "tests", "run_experiments", "experiments"}, module
        if top == "mmseg" and module not in ("mmseg", "mmseg.models"):
            assert part_of(module) in allowed, f"{path.relative_to(ROOT)} must not import {module}"


def test_rules_see_what_is_imported():
    """The rules above would find a network in a data set, or a picture in a network."""
    assert "mmseg.visualization.debug_pictures" in imported_modules(
        PACKAGE / "engine" / "hooks" / "debug_pictures.py"
    )
    assert "mmseg.models.uda" in imported_modules(PACKAGE / "models" / "__init__.py")
    assert (
        part_of("mmseg.models.uda.dacs") == "models.uda"
        and part_of("mmseg.models.data_preprocessor") == "models"
    )
    for part in ("datasets", "evaluation"):
        assert not any(name.startswith(("models", "engine", "apis")) for name in MAY_IMPORT[part])
    for part, allowed in MAY_IMPORT.items():
        assert "visualization" not in allowed or not part.startswith("models")


# ------------------------------------------------------------------------------------------------- docstrings


def undocumented(node: ast.Module | ast.ClassDef, is_public_base: bool, owner: str = "") -> Iterator[str]:
    """Public classes and functions without docstring.

    Methods that a base class defines are described there.
    """
    for child in node.body:
        if not isinstance(child, ast.ClassDef | ast.FunctionDef) or child.name.startswith("_"):
            continue
        has_base = isinstance(node, ast.ClassDef) and bool(node.bases)
        if not ast.get_docstring(child) and not (has_base and is_public_base):
            yield owner + child.name
        if isinstance(child, ast.ClassDef):
            yield from undocumented(child, bool(child.bases), f"{child.name}.")


@pytest.mark.parametrize("path", SOURCES, ids=module_name)
def test_everything_public_has_a_docstring(path):
    tree = ast.parse(path.read_text())
    assert not list(undocumented(tree, False))
    if tree.body and path.name not in ("__init__.py", "version.py"):
        assert ast.get_docstring(tree), "what is this file for?"


# ---------------------------------------------------------------------------------------------------- configs


def small(model: dict) -> dict:
    """The same network with the smallest encoder, without weights to load."""
    model.pretrained = None
    if model.backbone.type.startswith("mit_b"):
        model.backbone.type = "mit_b0"
        model.decode_head.in_channels = list(ARCHITECTURES["mit_b0"][0])
    return model


def of_config(path: Path) -> str:
    return path.relative_to(ROOT / "configs").as_posix()


def pipelines(cfg: Config) -> Iterator[list[dict]]:
    for loader in ("train_dataloader", "val_dataloader", "test_dataloader"):
        dataset = (cfg.get(loader) or {}).get("dataset") or {}
        yield from (part["pipeline"] for part in (dataset, *map(dataset.get, ("source", "target"))) if part
                    and "pipeline" in part)  # fmt: skip


@pytest.mark.parametrize("path", CONFIGS, ids=of_config)
def test_config_loads_and_its_network_computes(path):
    cfg = Config.fromfile(path)
    for pipeline in pipelines(cfg):
        assert [TRANSFORMS.build(transform) for transform in pipeline]
    if "parts" in path.parts or not cfg.get("model"):
        return  # no network, or what several networks share
    model = MODELS.build(small(cfg.model)).eval()
    classes = model.num_classes
    with torch.no_grad():
        assert model.encode_decode(torch.zeros(1, 3, 64, 64)).shape == (1, classes, 64, 64)
    if cfg.get("uda"):
        method = MODELS.build(dict(cfg.uda, model=model))
        assert method.model is model


RUNS = [path for path in CONFIGS if "_base_" not in path.parts and not path.stem.endswith("_data")]


@pytest.mark.parametrize("path", RUNS, ids=of_config)
def test_config_of_a_run_is_complete(path):
    cfg = Config.fromfile(path)
    if path.stem.endswith(("_base", "toy_adaptation")):  # what several runs share
        assert cfg.model and "dataset" not in cfg.train_dataloader
        return
    check_config(cfg)
    dataset = cfg.train_dataloader.dataset
    pairs = issubclass(DATASETS.get(dataset.type), UDADataset)
    assert pairs == bool(cfg.get("uda")), "methods and data of two domains belong together"
    assert bool(data_of(cfg, "val_dataloader")) == trains_student(cfg)
    for part in filter(None, (dataset, data_of(cfg, "val_dataloader"))):
        assert DATASETS.get(part.type)
    for hook in ("checkpoint", "logger", "results", "runtime_info"):
        assert hook in cfg.default_hooks
    assert cfg.default_hooks.randomness.type == "IterationRandomnessHook", "a run has to be repeatable"
    assert 0 < cfg.train_cfg.val_interval <= cfg.train_cfg.max_iters
    assert cfg.default_hooks.checkpoint.interval <= cfg.train_cfg.max_iters, "nothing would be kept"
    assert path.read_text().startswith("#"), "a config opens with what it is"


# ------------------------------------------------------------------------------------------------------ paths

TEXT_SUFFIXES = {".py", ".md", ".sh", ".toml", ".txt", ".yml", ".yaml", ".json", ".tsv", ".cfg", ""}
NOT_OURS = {"data", "work_dirs", "pretrained", "generated", "build", "dist", "__pycache__"}
MACHINE_PATH = re.compile(r"(?<![\w.~-])/(home|work|root|Users|mnt|media|scratch)/\w")


def text_files() -> Iterator[Path]:
    folders = [ROOT]
    while folders:
        for path in sorted(folders.pop().iterdir()):
            hidden = path.name.startswith(".") and path.name not in (".ci", ".gitignore")
            if (
                hidden
                or (path.name in NOT_OURS and path.parent in (ROOT, ROOT / "configs"))
                or path.is_symlink()
            ):
                continue
            if path.is_dir() and path.name != "__pycache__" and not path.name.endswith(".egg-info"):
                folders.append(path)
            elif path.is_file() and path.suffix in TEXT_SUFFIXES:
                yield path


def test_no_paths_of_a_machine():
    files = list(text_files())
    assert ROOT / "test.sh" in files and ROOT / ".ci" / "run" in files and len(files) > 100
    found = [
        f"{path.relative_to(ROOT)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if MACHINE_PATH.search(line)
    ]
    assert not found
    assert MACHINE_PATH.search("root = '/" + "home/someone/data'")
