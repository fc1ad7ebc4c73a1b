"""Experiment IDs: the published names and settings.

tests/golden/run_names.tsv and runs.jsonl hold what the published generators make of the IDs; the settings are
those of the first seed, in terms that belong to no framework.
"""

import csv
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from golden_data import GOLDEN
from mmengine.config import Config

import run_experiments
from experiments import EXPERIMENTS, make_config, runs
from mmseg import datasets, models  # noqa: F401  (fill the registries)
from mmseg.apis.checks import check_config
from mmseg.apis.config import load_config
from mmseg.apis.experiment_config import Run, domain
from mmseg.errors import ConfigError
from mmseg.models.backbones.mix_transformer import ARCHITECTURES
from mmseg.registry import DATASETS, MODELS

ROOT = Path(__file__).parents[1]
COUNTS = {6: 42, 7: 3, 8: 6, 40: 6, 42: 21, 43: 21, 44: 54, 49: 6, 80: 12, 82: 12, 83: 12, 84: 45, 85: 3}


def published_names() -> dict[int, list[str]]:
    names: dict[int, list[str]] = {}
    with open(GOLDEN / "run_names.tsv", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="\t"):
            names.setdefault(int(row["id"]), []).append(row["name"])
    return names


PUBLISHED = [json.loads(line) for line in (GOLDEN / "runs.jsonl").read_text().splitlines()]
WITH_NETWORK = [row for row in PUBLISHED if runs(row["id"])[row["index"]].available]
FIRST_SEEDS = [run for exp_id in EXPERIMENTS for run in runs(exp_id) if run.seed == 0 and run.available]


# ------------------------------------------------------------------------------------------------------ names


def test_ids_and_their_number_of_runs():
    assert {exp_id: len(runs(exp_id)) for exp_id in EXPERIMENTS} == COUNTS


@pytest.mark.parametrize("exp_id", COUNTS)
def test_names_are_the_published_ones(exp_id):
    assert [run.name for run in runs(exp_id)] == published_names()[exp_id]


def test_no_two_runs_have_the_same_name():
    names = Counter((run.exp_id, run.name) for exp_id in EXPERIMENTS for run in runs(exp_id))
    assert len(names) == sum(COUNTS.values())


def test_unknown_ids_are_refused():
    with pytest.raises(ConfigError, match=r"--exp 81: .* available are 6, 7, 8, 40, 42, .* 85"):
        runs(81)


def test_a_network_that_does_not_exist_is_named():
    run = Run(6, replace(runs(6)[0].axes, decoder="nothing"), 0)
    assert not run.available
    with pytest.raises(ConfigError, match=r"nothing_mitb5.* not available yet \(.*models/nothing_mitb5\.py"):
        make_config(run)


# --------------------------------------------------------------------------------------------------- settings


def step(dataset: dict, name: str) -> dict:
    """A transform of a pipeline, empty if it is not there."""
    return next((transform for transform in dataset["pipeline"] if transform["type"] == name), {})


def neutral_dataset(dataset: dict, is_target: bool = False, is_val: bool = False) -> dict[str, Any]:
    part = DATASETS.get(dataset["type"])
    found = dict(
        type=dataset["type"],
        data_root=dataset["data_root"],
        img_dir=dataset.get("img_dir", part.default_img_dir),
        ann_dir=dataset.get("ann_dir", part.default_ann_dir),
        resize=step(dataset, "Resize")["scale"],
    )
    if is_target:  # never looks for labels
        assert not dataset["load_labels"]
        del found["ann_dir"]
    if not is_val:
        crop = step(dataset, "RandomCrop")
        assert crop["crop_size"] == step(dataset, "Pad")["size"]
        found |= dict(crop=crop["crop_size"], cat_max_ratio=crop.get("cat_max_ratio", 1.0))
    if step(dataset, "PhotoMetricDistortion"):
        found["photometric"] = True
    if "crop_pseudo_margins" in dataset:
        found["crop_pseudo_margins"] = dataset["crop_pseudo_margins"]
    return found


def neutral_train(dataset: dict) -> dict[str, Any]:
    if dataset["type"] != "UDADataset":
        return neutral_dataset(dataset)
    return dict(
        type="UDADataset",
        source=neutral_dataset(dataset["source"]),
        target=neutral_dataset(dataset["target"], is_target=True),
        rare_class_sampling=dataset.get("rare_class_sampling"),
        sync_crop_size=dataset.get("sync_crop_size"),
    )


def neutral_head(head: dict) -> dict[str, Any]:
    head = {"align_corners": False, **head}
    assert head.pop("loss_decode") == dict(type="CrossEntropyLoss", loss_weight=1.0)
    head["norm"] = head.pop("norm_cfg")["type"]
    params = head["decoder_params"]
    fusion, neck = params["fusion_cfg"], params["embed_neck_cfg"]
    head["decoder_params"] = dict(
        embed_dims=params["embed_dims"],
        embed=params["embed_cfg"]["type"],
        embed_neck=neck["type"],
        fusion=fusion["type"],
        fusion_sep=fusion.get("sep"),
        fusion_dilations=fusion.get("dilations"),
        embed_neck_dilations=neck.get("dilations"),
    )
    return head


def neutral_uda(uda: dict | None) -> dict[str, Any] | None:
    """Masking is a part of its own here; the block generator is the only one and needs no name."""
    if uda is None:
        return None
    uda = {"source_only": False, **uda}
    masking = dict(uda.pop("masking", None) or {})
    if masking:
        masking["mask_generator"] = dict(type="block", **masking["mask_generator"])
    return uda | masking


def neutral_schedule(cfg: dict) -> dict[str, Any]:
    (schedule,) = cfg["param_scheduler"]
    assert schedule["type"] == "PolyWarmupLR"
    names = ("warmup_iters", "warmup_ratio", "power", "min_lr", "by_epoch")
    return dict(policy="poly", warmup="linear", **{name: schedule[name] for name in names})


def neutral_optimizer(wrapper: dict) -> dict[str, Any]:
    """``fused`` is a matter of speed."""
    optimizer = {name: value for name, value in wrapper["optimizer"].items() if name != "fused"}
    return optimizer | dict(paramwise_cfg=wrapper["paramwise_cfg"])


def neutral(cfg: Config) -> dict[str, Any]:
    """A config in the terms of the published settings.

    Without a counterpart: the labels of targets, which are never used; ``checkpoint_interval`` 40000, since
    here a checkpoint is written at each evaluation and the last one is kept.
    """
    cfg = cfg.to_dict()
    model, loader = dict(cfg["model"]), cfg["train_dataloader"]
    settings = dict(
        seed=cfg["randomness"]["seed"],
        segmentor=model.pop("type"),
        neck=(model.pop("neck", None) or {}).get("type"),
        auxiliary_head="auxiliary_head" in model,
        decode_head=neutral_head(model.pop("decode_head")),
        **model,
        train=neutral_train(loader["dataset"]),
        val=neutral_dataset(cfg["val_dataloader"]["dataset"], is_val=True),
        batch_size=loader["batch_size"],
        workers=loader["num_workers"],
        uda=neutral_uda(cfg.get("uda")),
        optimizer=neutral_optimizer(cfg["optim_wrapper"]),
        lr_config=neutral_schedule(cfg),
        max_iters=cfg["train_cfg"]["max_iters"],
        eval_interval=cfg["train_cfg"]["val_interval"],
        name=cfg["name"],
        id=cfg["exp"],
        **{key: value for key, value in cfg.items() if key.startswith("name_")},
    )
    return json.loads(json.dumps(settings))  # tuples become lists


def expected(row: dict[str, Any]) -> dict[str, Any]:
    """Published settings without what :func:`neutral` has no counterpart for."""
    row = json.loads(json.dumps(row))
    del row["index"], row["checkpoint_interval"]
    target = row["train"].get("target")
    if target:
        del target["ann_dir"]
        target["img_dir"] = target["img_dir"].rstrip("/")
    if row["uda"]:
        row["uda"].setdefault("source_only", False)
    return row


def test_stored_settings_are_complete():
    per_id = Counter(row["id"] for row in PUBLISHED)
    assert per_id == {6: 14, 8: 2, 40: 2, 44: 18, 49: 2, 80: 4, 83: 4}
    assert len(WITH_NETWORK) >= 42


@pytest.mark.parametrize("row", WITH_NETWORK, ids=lambda row: f"{row['id']}-{row['name']}")
def test_settings_are_the_published_ones(row):
    cfg = make_config(runs(row["id"])[row["index"]])
    assert neutral(cfg) == expected(row)
    checkpoints = cfg.default_hooks.checkpoint
    assert cfg.train_cfg.max_iters % checkpoints.interval == 0 and checkpoints.max_keep_ckpts == 1


@pytest.mark.parametrize("exp_id", COUNTS)
def test_seeds_differ_in_nothing_else(exp_id):
    first, second = (neutral(make_config(run)) for run in runs(exp_id)[:2])
    assert {key for key in first if first[key] != second[key]} == {"seed", "name"}
    assert (first["seed"], second["seed"]) == (0, 1)


@pytest.mark.parametrize(
    ("path", "exp_id", "index"),
    [
        ("daformer/gta2cs_uda_warm_fdthings_rcs_croppl_a999_daformer_mitb5_s0.py", 6, 36),
        ("hrda/gtaHR2csHR_hrda.py", 40, 1),
        ("mic/gtaHR2csHR_mic_hrda.py", 80, 2),
    ],
)
def test_annotated_configs_are_runs_of_an_id(path, exp_id, index):
    annotated = Config.fromfile(ROOT / "configs" / path).to_dict()
    cfg = make_config(runs(exp_id)[index]).to_dict()
    identity = {"exp", "name", "name_uda"}
    assert {key: annotated[key] for key in cfg.keys() - identity} == {
        key: cfg[key] for key in cfg.keys() - identity
    }
    assert annotated.keys() - cfg.keys() <= {"norm_cfg"} | {
        key for key in annotated if re.search(r"_(train|target|val|high_resolution)$", key)
    }


# -------------------------------------------------------- the same for IDs whose settings are not stored


def first_seeds(exp_id: int) -> list[Config]:
    return [make_config(run) for run in runs(exp_id) if run.seed == 0]


def test_daformer_on_synthia():
    (cfg,) = first_seeds(7)
    gta = make_config(runs(6)[36])
    source = cfg.train_dataloader.dataset.pop("source")
    gta.train_dataloader.dataset.pop("source")
    assert source.type == "SynthiaDataset" and step(source, "Resize").scale == (1280, 760)
    assert cfg.val_evaluator.class_subsets == cfg.test_evaluator.class_subsets == ("16", "13")
    for key in ("model", "uda", "train_dataloader", "val_dataloader", "optim_wrapper", "param_scheduler"):
        assert cfg[key] == gta[key], key


def test_crop_sizes_of_adaptation():
    cfgs = first_seeds(42)
    crops = [cfg.train_dataloader.dataset.get("sync_crop_size") for cfg in cfgs]
    assert crops == [(e, e) if e else None for e in (128, 256, 384, None, 256, 512, 768)]
    windows = [cfg.model.test_cfg.crop_size[0] for cfg in cfgs]
    assert windows == [128, 256, 384, 512, 256, 512, 768]
    assert [cfg.model.test_cfg.stride[0] for cfg in cfgs] == [window // 2 for window in windows]
    assert [cfg.model.test_cfg.batched_slide for cfg in cfgs] == [True] * 4 + [False] + [True] * 2
    for cfg, edge in zip(cfgs, [512] * 4 + [1024] * 3, strict=True):
        dataset = cfg.train_dataloader.dataset
        for part in (dataset.source, dataset.target):
            assert step(part, "RandomCrop").crop_size == step(part, "Pad").size == (edge, edge)
        assert dataset.rare_class_sampling.min_crop_ratio == (0.5 if edge == 512 else 2.0)
        assert dataset.target.crop_pseudo_margins == [30, 240, 30, 30]
        assert cfg.model.type == "EncoderDecoder" and cfg.uda.pseudo_weight_ignore_bottom == 0


def test_crop_sizes_of_the_oracle():
    cfgs = first_seeds(43)
    edges, widths = [128, 256, 384, 512, 256, 512, 768], [1024] * 4 + [2048] * 3
    for cfg, edge, width in zip(cfgs, edges, widths, strict=True):
        dataset = cfg.train_dataloader.dataset
        order = [transform.type for transform in dataset.pipeline]
        assert order == [
            "LoadImage", "LoadLabel", "Resize", "RandomCrop", "RandomFlip", "PhotoMetricDistortion", "Pad",
            "PackInputs",
        ]  # fmt: skip
        assert step(dataset, "RandomCrop") == dict(
            type="RandomCrop", crop_size=(edge, edge), cat_max_ratio=0.75
        )
        assert step(dataset, "Pad").size == cfg.model.test_cfg.crop_size == (edge, edge)
        assert step(dataset, "Resize").scale == (width, width // 2)
        assert step(cfg.val_dataloader.dataset, "Resize").scale == (width, width // 2)
        assert dataset.type == "CityscapesDataset" and "uda" not in cfg
    assert [cfg.name_dataset for cfg in cfgs[2:5]] == [
        "2cityscapes_384x384", "2cityscapes", "2cityscapesHR_256x256",
    ]  # fmt: skip


def test_masked_domains():
    cfgs = first_seeds(82)
    modes = [cfg.uda.masking.mask_mode for cfg in cfgs]
    assert modes == ["separatesrcaug", "separateaug", "separatesrc", "separatetrg"]
    margins = [cfg.train_dataloader.dataset.target.get("crop_pseudo_margins") for cfg in cfgs]
    assert margins == [[30, 240, 30, 30]] * 2 + [None] * 2
    full = make_config(runs(80)[0])
    for cfg in cfgs:
        assert cfg.model == full.model
        assert cfg.uda.masking.mask_generator == full.uda.masking.mask_generator


def test_block_sizes_and_mask_ratios():
    generators = [cfg.uda.masking.mask_generator for cfg in first_seeds(84)]
    found = [(generator.mask_block_size, generator.mask_ratio) for generator in generators]
    grid = [(size, ratio) for size in (16, 32, 64, 128) for ratio in (0.3, 0.5, 0.7, 0.9)]
    assert found == [point for point in grid if point != (32, 0.7)]
    others = make_config(runs(83)[3])  # the same but for the ratio
    for cfg in first_seeds(84):
        del cfg.uda.masking["mask_generator"]
        others.uda.masking.pop("mask_generator", None)
        assert cfg.uda == others.uda and cfg.model == others.model
        assert cfg.train_dataloader == others.train_dataloader


def test_supervised_masking():
    (cfg,) = first_seeds(85)
    dataset = cfg.train_dataloader.dataset
    assert cfg.uda.source_only and cfg.uda.imnet_feature_dist_lambda == 0
    assert cfg.uda.masking == dict(
        mask_mode="separatesrc",
        mask_alpha="same",
        mask_pseudo_threshold="same",
        mask_lambda=1,
        mask_generator=dict(mask_ratio=0.7, mask_block_size=32),
    )
    assert dataset.source.type == dataset.target.type == "CityscapesDataset"
    assert dataset.source.ann_dir == "gtFine/train" and not step(dataset.source, "PhotoMetricDistortion")
    assert "rare_class_sampling" not in dataset and cfg.model.test_cfg == dict(mode="whole")


def test_parts_are_not_changed_by_a_run():
    before = domain("gta")
    make_config(runs(42)[0]).train_dataloader.dataset.source.pipeline.clear()
    assert domain("gta") == before and before["train"]["pipeline"]


# -------------------------------------------------------------------------------------------- written configs


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A folder of its own to write into."""
    monkeypatch.setattr(run_experiments, "ROOT", tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def distinct_networks() -> list[Run]:
    """The first run of every architecture."""
    found: dict[str, Run] = {}
    for run in FIRST_SEEDS:
        settings = neutral(make_config(run))
        found.setdefault(repr((settings["name_architecture"], settings["decode_head"])), run)
    return list(found.values())


@pytest.mark.parametrize("run", FIRST_SEEDS, ids=lambda run: f"{run.exp_id}-{run.row_name}")
def test_config_survives_writing(run, checkout):
    cfg = make_config(run)
    path = run_experiments.write_run_config(cfg, "unique", f"local-exp{run.exp_id}", {})
    assert path == checkout / "configs" / "generated" / f"local-exp{run.exp_id}" / "unique.py"
    written = load_config(path)
    assert "_base_" not in path.read_text()
    assert (written.name, written.work_dir) == ("unique", f"work_dirs/local-exp{run.exp_id}/unique")
    assert written.to_dict() == cfg.to_dict()
    check_config(written)


@pytest.mark.parametrize("run", distinct_networks(), ids=lambda run: run.row_name)
def test_network_is_built(run):
    cfg = make_config(run)
    cfg.model.pretrained = None
    cfg.model.backbone.type = "mit_b0"
    cfg.model.decode_head.in_channels = list(ARCHITECTURES["mit_b0"][0])
    network = MODELS.build(dict(cfg.uda, model=cfg.model) if "uda" in cfg else cfg.model)
    assert type(network).__name__ == ("DACS" if "uda" in cfg else cfg.model.type)
    assert len(distinct_networks()) == 23
