"""The documentation works: its examples run, its configs load, its commands and links exist."""

import copy
import importlib
import importlib.util
import inspect
import json
import re
import shlex
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import toy_run
from mmengine.config import Config
from PIL import Image
from torch import nn

from mmseg.apis.training import check_before_training
from mmseg.config.checks import check_config
from mmseg.config.load import load_config
from mmseg.datasets import seg_collate
from mmseg.datasets.verify import verify
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.registry import DATASETS, METRICS, MODELS

ROOT = Path(__file__).parent.parent
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("*.md")])
NAMED_FILE = re.compile(r"\b(?:configs|docs)/[\w/.-]*\w")
BLOCK = re.compile(r"(<!-- not run -->\n)?^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
OPTION_SOURCES = (
    "mmseg/cli.py",
    "mmseg/launch/main.py",
    *(f"mmseg/commands/{path.name}" for path in (ROOT / "mmseg/commands").glob("*.py")),
)
SMALL_NETWORK = {
    "model.pretrained": None,
    "model.backbone.type": "mit_b0",
    "model.decode_head.in_channels": [32, 64, 160, 256],
    "model.decode_head.channels": 32,
    "model.decode_head.decoder_params.embed_dims": 32,
}


def blocks(page: Path, language: str) -> list[str]:
    """Contents of the code blocks of a language, without those marked as fragments."""
    return [text for mark, name, text in BLOCK.findall(page.read_text()) if name == language and not mark]


def python_files() -> dict[str, str]:
    """Path in the repository -> content of every Python file shown on a page."""
    files = {}
    for page in PAGES:
        for text in blocks(page, "python"):
            match = re.match(r"# (\S+\.py)\n", text)
            assert match, f"{page.name}: a Python block does not begin with its path:\n{text[:80]}"
            files[match[1]] = text
    return files


def shell_commands() -> list[tuple[str, list[str]]]:
    """(page, words) of every command in a shell block, with line continuations joined."""
    lines = []
    for page in PAGES:
        for text in blocks(page, "sh"):
            lines += [(page.name, line) for line in text.replace("\\\n", " ").splitlines()]
    return [(page, shlex.split(line, comments=True)) for page, line in lines if line.strip()]


@pytest.fixture
def shown(tmp_path: Path) -> Path:
    """A folder with the repository's configs and every Python file that the pages show."""
    for folder in (ROOT / "configs").iterdir():
        for path in folder.rglob("*.py"):
            copy = tmp_path / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(path.read_text())
    for name, text in python_files().items():
        path = tmp_path / name
        assert not path.exists(), f"{name}: the page shows a file that exists in the repository"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


@pytest.fixture(scope="module")
def source_entropy(tmp_path_factory: pytest.TempPathFactory) -> type:
    """The method of docs/add_a_method.md, registered as its import would do."""
    path = tmp_path_factory.mktemp("method") / "source_entropy.py"
    path.write_text(python_files()["mmseg/models/uda/source_entropy.py"])
    spec = importlib.util.spec_from_file_location("source_entropy_of_the_docs", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.SourceEntropy


def write_own_data(root: Path, img_dir: str, ann_dir: str | None, number: int) -> None:
    """Images and labels as docs/own_data.md describes them: raw ids in blocks, 50 belongs to no class."""
    rng = np.random.RandomState(number)
    for index in range(number):
        label = np.kron(rng.choice([10, 20, 30, 40, 50], (3, 4)), np.ones((32, 32))).astype(np.uint8)
        image = root / img_dir / f"{index:03d}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.stack([label * 5] * 3, axis=-1)).save(image)
        if ann_dir is not None:
            path = root / ann_dir / f"{index:03d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(label).save(path)


def small_own_config(shown: Path, name: str = "roads") -> Config:
    """A config of docs/own_data.md with a small network and small crops."""
    cfg = load_config(shown / f"configs/own/{name}.py", SMALL_NETWORK)
    dataset = cfg.train_dataloader.dataset
    if dataset.get("rare_class_sampling"):
        dataset.rare_class_sampling.update(min_pixels=500, min_crop_ratio=0.1)
    datasets = [dataset[role] for role in ("source", "target")] if "source" in dataset else [dataset]
    for transform in [step for dataset in datasets for step in dataset.pipeline]:
        transform.update({key: (64, 64) for key in ("crop_size", "size") if key in transform})
        transform.update({key: (128, 96) for key in ("scale",) if key in transform})
    return cfg


def build_model(cfg: Config) -> nn.Module:
    """The network of a config, inside its method if it names one."""
    return MODELS.build(dict(cfg.uda, model=cfg.model) if cfg.get("uda") else cfg.model)


def train_one_step(cfg: Config, batch: dict, model: nn.Module | None = None) -> dict[str, float]:
    """A step of the config's method, or of its network alone."""
    model = model or build_model(cfg)
    model.init_weights()
    student = getattr(model, "model", model)
    optim_wrapper = GroupedOptimWrapperConstructor(
        dict(type="SegmentationOptimWrapper", optimizer=dict(type="AdamW", lr=1e-3)),
        cfg.optim_wrapper.paramwise_cfg,
    )(model)
    before = [parameter.detach().clone() for parameter in student.parameters()]
    log = model.train().train_step(batch, optim_wrapper)
    changed = [not torch.equal(*pair) for pair in zip(before, student.parameters(), strict=True)]
    assert sum(changed) > 0.9 * len(changed)
    assert student is model or model.iteration == 1
    return {name: float(value.detach()) for name, value in log.items() if name != "pictures"}


def random_batch(size: int = 64) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return dict(
        img=torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8),
        target_img=torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8),
        gt_semantic_seg=torch.randint(0, 19, (2, size, size), dtype=torch.uint8),
    )


def test_the_example_of_a_method_trains(shown, source_entropy):
    cfg = load_config(shown / "configs/quickstart/source_entropy.py")
    check_config(cfg)
    cfg.uda.entropy_lambda = 0.5
    log = train_one_step(cfg, random_batch())
    assert set(log) == {"decode.loss_seg", "decode.acc_seg", "target.loss_entropy", "target.entropy"}
    assert 0 < log["target.entropy"] <= 1
    assert log["target.loss_entropy"] == pytest.approx(0.5 * log["target.entropy"])
    assert len(python_files()["mmseg/models/uda/source_entropy.py"].splitlines()) <= 41  # with its path


def test_the_entropy_of_the_example_is_a_share_of_the_largest(source_entropy):
    mean_entropy = source_entropy.objectives.__globals__["mean_entropy"]
    assert float(mean_entropy(torch.zeros(1, 4, 2, 2))) == pytest.approx(1)
    certain = torch.zeros(1, 4, 2, 2)
    certain[:, 1] = 1000
    assert float(mean_entropy(certain)) == pytest.approx(0, abs=1e-6)


def test_the_example_of_own_data_is_verified_and_trains(shown, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    source, target = tmp_path / "data/own/source", tmp_path / "data/own/target"
    write_own_data(source, "images", "labels", 6)
    write_own_data(target, "images/train", None, 3)
    write_own_data(target, "images/val", "labels/val", 2)
    cfg = small_own_config(shown)

    parts = {part.name: part for part in verify(cfg, nproc=1)}
    assert ["sample_class_stats.json is missing" in text for text in parts["train source"].problems] == [True]
    parts = {part.name: part for part in verify(cfg, nproc=1, write_statistics=True)}
    assert not [problem for part in parts.values() for problem in part.problems]
    assert {name: len(part.dataset) for name, part in parts.items()} == {
        "train source": 6,
        "train target": 3,
        "val": 2,
    }
    check_before_training(cfg)

    pairs = DATASETS.build(cfg.train_dataloader.dataset)
    batch = seg_collate([pairs[0], pairs[1]])
    raw = np.array(Image.open(source / "labels/000.png"))
    label = pairs.source.load(0)["gt_semantic_seg"]
    assert label.shape == raw.shape  # the example's box is as large as these images
    for raw_id, train_id in {10: 0, 20: 1, 30: 2, 40: 3, 50: 255}.items():
        assert (label[raw == raw_id] == train_id).all()
    log = train_one_step(cfg, batch)
    assert {"decode.loss_seg", "mix.decode.loss_seg", "src.loss_imnet_feat_dist"} <= set(log)
    assert all(np.isfinite(value) for value in log.values())


@pytest.mark.parametrize("name", ["roads_dacs", "roads_oracle", "roads_source_only"])
def test_what_own_data_is_compared_with_trains(shown, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    source, target = tmp_path / "data/own/source", tmp_path / "data/own/target"
    write_own_data(source, "images", "labels", 3)
    write_own_data(target, "images/train", None, 3)
    write_own_data(target, "images/val", "labels/val", 2)
    cfg = small_own_config(shown, name)
    check_before_training(cfg)
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    assert len(dataset) == {"roads_dacs": 9, "roads_oracle": 2, "roads_source_only": 3}[name]
    log = train_one_step(cfg, seg_collate([dataset[0], dataset[1]]))
    assert ("mix.decode.loss_seg" in log) == (name == "roads_dacs")
    assert "src.loss_imnet_feat_dist" not in log and getattr(dataset, "rcs", None) is None


def test_folders_classes_and_sizes_of_own_data_stand_once():
    roads = {name: text for name, text in python_files().items() if name.startswith("configs/own/roads")}
    assert len(roads) == 5
    for setting in ("data/own", "img_dir", " classes=[", "id_map", "crop, ", "crop_size", "num_classes"):
        holding = [name for name, text in roads.items() if setting in text]
        assert holding == ["configs/own/roads_base.py"], setting


@pytest.fixture
def my_parts(shown, monkeypatch):
    """The folder of the pages' files is one of PYTHONPATH."""
    monkeypatch.syspath_prepend(str(shown))
    for path in shown.glob("my_*.py"):
        monkeypatch.delitem(sys.modules, path.stem, raising=False)
    for registry in (MODELS, METRICS, DATASETS):
        monkeypatch.setattr(registry, "_module_dict", dict(registry.module_dict))


def shown_toy_config(
    shown: Path, name: str, data: Path, work_dir: Path, options: dict | None = None
) -> Config:
    """A config of docs/extend.md that trains two iterations and is evaluated after them."""
    short = {"train_cfg.max_iters": 2, "uda.imnet_feature_dist_lambda": 0} | (options or {})
    return toy_run.toy_config(str(shown / "configs/own" / name), data, work_dir, short)


def test_the_example_of_a_head_trains(shown, my_parts):
    cfg = load_config(shown / "configs/own/quiet.py")
    model = build_model(cfg)
    batch = random_batch()
    train_one_step(cfg, {key: batch[key] for key in ("img", "gt_semantic_seg")}, model)
    assert largest_logit(model, model.decode_head) == pytest.approx(10)


def test_the_example_of_a_head_trains_under_hrda(shown, my_parts):
    cfg = load_config(shown / "configs/own/quiet_hrda.py", {"model.hr_crop_size": (64, 64)})
    model = build_model(cfg)
    log = train_one_step(cfg, random_batch(128), model)
    assert {"decode.hr.loss_seg", "mix.decode.hr.loss_seg"} <= set(log)
    assert model.model.output_stride == 32
    assert type(model.model.decode_head.scale_attention).__name__ == "FCNHead"
    assert largest_logit(model.model, model.model.decode_head.head) == pytest.approx(10)


def largest_logit(model: nn.Module, head: nn.Module) -> float:
    """What a network gives at most when the classifier of its head gives about 1000."""
    torch.nn.init.constant_(head.conv_seg.bias, 1000.0)
    with torch.no_grad():
        return float(model.eval().encode_decode(torch.zeros(1, 3, 128, 128)).max())


def test_the_example_of_a_backbone_trains_from_its_weights(shown, my_parts, toy_data, tmp_path):
    torch.manual_seed(1)
    pretrained = importlib.import_module("my_backbone").PlainEncoder().state_dict()
    renamed = {name.replace("stages.", "layers."): value for name, value in pretrained.items()}
    torch.save({**renamed, "fc.weight": torch.zeros(5, 128)}, tmp_path / "plain.pth")
    options = {"model.pretrained": str(tmp_path / "plain.pth"), "uda.imnet_feature_dist_lambda": 1.0}
    options |= {"uda.imnet_feature_dist_classes": None}
    run = toy_run.run_training(shown_toy_config(shown, "plain", toy_data, tmp_path / "run", options))
    torch.testing.assert_close(dict(run.model.imnet_model.backbone.state_dict()), dict(pretrained))
    student = run.model.model.backbone.state_dict()
    assert all(not torch.equal(value, student[name]) for name, value in pretrained.items())
    assert all(entry["src.loss_imnet_feat_dist"] > 0 for entry in toy_run.log_entries(run.work_dir)[:2])


def test_the_example_of_a_loss_is_logged_and_learnt(shown, my_parts):
    cfg = load_config(shown / "configs/own/dice.py", {"model.decode_head.dropout_ratio": 0.0})
    model = build_model(cfg).train()
    batch = random_batch()
    normalised = model.data_preprocessor(dict(batch), training=True)
    logits = copy.deepcopy(model.model).forward_outputs(normalised["img"])[0]["main"].detach()
    log = train_one_step(cfg, batch, model)
    truth = torch.nn.functional.one_hot(normalised["gt_semantic_seg"], 19)
    shares = logits.softmax(dim=1).movedim(1, -1)
    dice = [2 * (truth * shares)[..., c].sum() / (truth + shares)[..., c].sum() for c in range(19)]
    assert log["decode.loss_dice"] == pytest.approx(0.5 * float(1 - sum(dice) / 19), rel=1e-5)
    assert {"decode.loss_seg", "mix.decode.loss_seg", "mix.decode.loss_dice"} <= set(log)


def test_the_loss_of_the_example_is_zero_where_all_is_right(shown, my_parts):
    dice = importlib.import_module("my_loss").DiceLoss()
    label = torch.tensor([[[0, 1], [2, 255]]])
    logits = 1000.0 * torch.nn.functional.one_hot(label.clamp(max=2), 3).movedim(-1, 1)
    assert float(dice(logits, label)) == pytest.approx(0)
    wrong = torch.tensor([[[0, 1], [1, 255]]])
    trusted = torch.tensor([[[1.0, 1.0], [0.0, 1.0]]])
    assert float(dice(logits, wrong, trusted)) == pytest.approx(1 / 3)  # no pixel of class 2 counts
    assert float(dice(logits, wrong)) == pytest.approx((1 - 2 / 3 + 1) / 3)


def test_the_example_of_a_data_set_is_a_target(shown, my_parts, toy_data, tmp_path):
    data = write_campus_data(toy_data, tmp_path / "data")
    run = toy_run.run_training(shown_toy_config(shown, "campus", data, tmp_path / "run"))
    assert run.model.model.num_classes == 4
    results = json.loads((run.work_dir / "results.json").read_text())
    names = ["paved", "plants", "sky", "traffic"]
    assert [name for name in results if name.startswith("IoU.")] == [f"IoU.{name}" for name in names]
    assert results["IoU.paved"] is not None
    table = next(run.work_dir.glob("*/*.log")).read_text()
    assert [re.search(rf"^\| {name} +\| +[\d.-]+ ", table, re.MULTILINE) is None for name in names] == 4 * [
        False
    ]
    pairs = DATASETS.build(run.cfg.train_dataloader.dataset)
    assert set(np.unique(pairs.source.load(0)["gt_semantic_seg"])) <= {0, 1, 2, 3, 255}
    assert pairs.target.palette[3] == (0, 0, 142) and not pairs.target.has_labels


def write_campus_data(toy: Path, root: Path) -> Path:
    """The toy target as docs/extend.md describes its data set: training images have no labels."""
    (root / "gta").parent.mkdir(parents=True)
    (root / "gta").symlink_to(toy / "gta")
    for part in ("train", "val"):
        for image in sorted((toy / "cityscapes/leftImg8bit" / part).rglob("*.png")):
            name = image.name.removesuffix("_leftImg8bit.png")
            copied = root / part / "images" / f"{name}_rgb.png"
            copied.parent.mkdir(parents=True, exist_ok=True)
            copied.write_bytes(image.read_bytes())
            if part == "val":
                label = next((toy / "cityscapes").rglob(f"{name}_gtFine_labelTrainIds.png"))
                classes = np.digitize(np.array(Image.open(label)), [2, 10, 11, 19]).astype(np.uint8)
                path = root / part / "labels" / f"{name}_class.png"
                path.parent.mkdir(exist_ok=True)
                Image.fromarray(np.where(classes == 4, 255, classes).astype(np.uint8)).save(path)
    return root


def test_the_example_of_a_metric_counts(shown, my_parts):
    importlib.import_module("my_metric")
    metric = METRICS.build(dict(type="Wrong"))
    sample = dict(pred=torch.tensor([[0, 1], [2, 3]]), gt=torch.tensor([[0, 1], [2, 255]]), img_path="a.png")
    metric.process(None, [sample])
    assert metric.evaluate(1) == {"wrong": 25}


def test_every_config_shown_loads(shown, source_entropy, my_parts):
    configs = [name for name in python_files() if name.startswith("configs/") and "_base" not in name]
    assert len(configs) >= 3
    for name in configs:
        cfg = load_config(shown / name)
        check_config(cfg)
        with torch.device("meta"):
            build_model(load_config(shown / name, {"model.pretrained": None}))


def test_every_command_shown_names_existing_files_and_options():
    commands = shell_commands()
    scripts = 0
    for page, words in commands:
        names = [word for word in words if word.endswith((".py", ".sh"))]
        invented = set(python_files())
        for name in names:
            exists = (ROOT / name).is_file() or name in invented or name.startswith("work_dirs/")
            assert exists, f"{page}: {shlex.join(words)}: {name} does not exist"
        if words[0] != "python" or not names:
            continue
        scripts += 1
        sources = "".join((ROOT / path).read_text() for path in (names[0], *OPTION_SOURCES))
        for option in [word.split("=")[0] for word in words if word.startswith("--")]:
            assert f'"{option}"' in sources, f"{page}: {names[0]} has no option {option}"
    assert scripts > 10
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {words[1] for _, words in commands if words[0] == "make"} <= targets


WRITTEN = {"configs/generated", "configs/own"}
"""Folders that the package names and that users fill."""


def test_every_file_that_the_package_names_exists():
    files = {path: path.read_text() for path in (ROOT / "mmseg").rglob("*.py")}
    named = {(path, name) for path, text in files.items() for name in re.findall(NAMED_FILE, text)}
    assert len(named) > 30
    missing = [
        (str(path), name) for path, name in named if name not in WRITTEN and not (ROOT / name).exists()
    ]
    assert not missing, missing


def test_every_overridden_setting_shown_exists(shown):
    for page, words in shell_commands():
        if "--cfg-options" not in words:
            continue
        config = next(word for word in words[2:] if word.endswith(".py"))
        if config.startswith("work_dirs/"):
            continue
        cfg = load_config(shown / config)
        for setting in words[words.index("--cfg-options") + 1 :]:
            key = setting.split("=")[0]
            parent = cfg
            for part in key.split(".")[:-1]:
                parent = parent[int(part)] if part.isdigit() else parent[part]
            dataset = DATASETS.get(parent["type"]) if "type" in parent else None
            known = {*parent, *(inspect.signature(dataset).parameters if dataset else ())}
            assert key.split(".")[-1] in known, f"{page}: {key} is not in {config}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).resolve().exists()]
    assert missing == []
