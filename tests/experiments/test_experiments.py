"""Experiment IDs: the published names and settings."""

import re
from collections import Counter, defaultdict
from pathlib import Path

import pytest
from mmengine.config import Config
from published_settings import expected, neutral, published_names, published_settings, step

from experiments import EXPERIMENTS, make_config, runs
from mmseg import models  # noqa: F401  (fills the registry)
from mmseg.config.checks import check_config
from mmseg.config.load import load_config
from mmseg.errors import ConfigError
from mmseg.experiments.make_config import domain
from mmseg.launch import run_folders

ROOT = Path(__file__).parents[2]
COUNTS = {
    1: 45, 2: 12, 3: 18, 4: 4, 5: 21, 6: 42, 7: 3, 8: 6,
    40: 6, 41: 24, 42: 21, 43: 21, 44: 54, 49: 6,
    80: 12, 81: 18, 82: 12, 83: 12, 84: 45, 85: 3,
    100: 22, 101: 9,
}  # fmt: skip


SURVEY_COUNTS = {
    201: 45, 202: 30, 203: 12, 204: 78, 211: 24, 212: 42, 213: 18, 214: 18, 221: 27, 223: 18, 224: 36,
    225: 9,
}  # fmt: skip
PUBLISHED = published_settings()
FIRST_SEEDS = [run for exp_id in COUNTS for run in runs(exp_id) if run.seed == 0]


# ------------------------------------------------------------------------------------------------------ names


def test_ids_and_their_number_of_runs():
    assert {exp_id: len(runs(exp_id)) for exp_id in EXPERIMENTS} == {0: 33, 10: 50, **COUNTS, **SURVEY_COUNTS}
    assert sum(COUNTS.values()) == 416


@pytest.mark.parametrize("exp_id", COUNTS)
def test_names_are_the_published_ones(exp_id):
    assert [run.name for run in runs(exp_id)] == published_names()[exp_id]


def test_no_two_runs_have_the_same_name():
    names = Counter((run.exp_id, run.name) for exp_id in EXPERIMENTS for run in runs(exp_id))
    assert len(names) == 33 + 50 + sum((COUNTS | SURVEY_COUNTS).values())


def test_unknown_ids_are_refused():
    with pytest.raises(ConfigError, match=r"--exp 9: .* available are 0, 1, 2, 3, .* 10, .* 85, 100, 101"):
        runs(9)


# --------------------------------------------------------------------------------------------------- settings


def test_stored_settings_are_complete():
    per_id = {exp_id: len(rows) for exp_id, rows in PUBLISHED.items()}
    assert per_id == {exp_id: COUNTS[exp_id] for exp_id in (1, 2, 5, 6, 8, 40, 44, 49, 80, 81, 83, 100)}
    assert sum(per_id.values()) == 256
    assert all([row["index"] for row in rows] == list(range(len(rows))) for rows in PUBLISHED.values())


@pytest.mark.parametrize("exp_id", PUBLISHED)
def test_settings_are_the_published_ones(exp_id):
    for run, row in zip(runs(exp_id), PUBLISHED[exp_id], strict=True):
        assert neutral(make_config(run)) == expected(row), run.name


@pytest.mark.parametrize("exp_id", [10, *COUNTS, *SURVEY_COUNTS])
def test_norms_decay_by_names_as_published(exp_id):
    for run in runs(exp_id):
        if run.seed == 0:
            paramwise = run.config().optim_wrapper.get("paramwise_cfg") or {}
            keys = paramwise.get("custom_keys", {})
            assert "norm_decay_mult" not in paramwise, run.name
            assert ("bn" in keys) == (exp_id == 10), run.name
            assert ("norm" in keys) == (exp_id == 10 or "mit" in run.name), run.name


@pytest.mark.parametrize("exp_id", COUNTS)
def test_the_last_iteration_is_kept_and_evaluated(exp_id):
    """The start-up tests are too short for an evaluation."""
    for run in runs(exp_id):
        cfg = make_config(run)
        checkpoints, loop = cfg.default_hooks.checkpoint, cfg.train_cfg
        assert checkpoints.max_keep_ckpts == 2 and checkpoints.get("save_last", True)
        if exp_id in (100, 101):
            assert (loop.max_iters, loop.val_interval, loop.val_begin) == (2, 100, 100)
            assert cfg.log_level == "ERROR" and cfg.name_opt.endswith("_1x2_0k")
        else:
            assert (loop.max_iters, loop.val_interval, checkpoints.interval) == (40000, 4000, 4000)
            assert cfg.log_level == "INFO"


@pytest.mark.parametrize("exp_id", COUNTS)
def test_seeds_differ_in_nothing_else(exp_id):
    rows = defaultdict(list)
    for run in runs(exp_id):
        rows[run.row.name].append(make_config(run).to_dict())
    for cfgs in rows.values():
        assert [cfg["randomness"].pop("seed") for cfg in cfgs] == list(range(len(cfgs)))
        assert len({cfg.pop("name") for cfg in cfgs}) == len(cfgs)
        assert all(cfg == cfgs[0] for cfg in cfgs)


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


def differences(cfg: Config, other: Config) -> set[str]:
    """Neutral settings in which two runs differ besides their names."""
    first, second = neutral(cfg), neutral(other)
    found = {key for key in first.keys() | second.keys() if first.get(key) != second.get(key)}
    return {key for key in found - {"id", "seed"} if not key.startswith("name")}


def test_size_of_the_encoder():
    rows = first_seeds(3)
    encoders = ["r50v1c", "s50", "s101", "s200", "mitb3", "mitb4"]
    assert [cfg.name_encoder for cfg in rows] == [encoder for encoder in encoders for _ in range(3)]
    started = {run.row.network: make_config(run) for run in runs(100)}
    ways = {cfg.name_uda: cfg for cfg in first_seeds(1) if cfg.name_decoder == "dlv2red"}
    for cfg in rows:
        assert cfg.model == started[cfg.name_architecture].model
        other = ways[cfg.name_uda]
        network = {"backbone", "pretrained", "optimizer", "decode_head"}
        assert (
            differences(cfg, other) <= network
            and cfg.optim_wrapper.optimizer == other.optim_wrapper.optimizer
        )


def test_without_warm_up():
    with_warm_up = {(cfg.name_uda, cfg.name_decoder): cfg for cfg in first_seeds(1)}
    for cfg in first_seeds(4):
        assert cfg.param_scheduler == [
            dict(type="PolyWarmupLR", by_epoch=False, power=1.0, min_lr=1e-4, warmup_iters=0)
        ]
        assert cfg.name_opt == "adamw_6e-05_pmTrue_poly10_1x2_40k"
        other = with_warm_up[cfg.name_uda, cfg.name_decoder]
        cfg.param_scheduler = other.param_scheduler
        assert not differences(cfg, other)


def test_hrda_with_other_methods():
    """Pairs of rows: crops of 512, and HRDA."""
    rows = first_seeds(41)
    methods = ["AdvSeg", "AdvSeg", "MinEnt", "MinEnt", "DACS", "DACS", "DACS", "DACS"]
    assert [cfg.uda.type for cfg in rows] == methods
    for index, cfg in enumerate(rows):
        edge = (512, 1024)[index % 2]
        dataset = cfg.train_dataloader.dataset
        assert dataset.source.data_root == "data/gta" and not step(dataset.target, "PhotoMetricDistortion")
        assert (
            step(dataset.source, "RandomCrop").crop_size == step(dataset.source, "Pad").size == (edge, edge)
        )
        assert cfg.model.backbone.name == "resnet101c" and cfg.model.test_cfg == dict(mode="whole")
        assert cfg.model.pretrained == "open-mmlab://resnet101_v1c" and "masking" not in cfg.uda
        kind = ("EncoderDecoder", "DLV2Head") if edge == 512 else ("HRDAEncoderDecoder", "HRDAHead")
        assert (cfg.model.type, cfg.model.decode_head.type) == kind
    assert rows[1].model == rows[7].model and rows[1].model.decode_head.single_scale_head == "DLV2Head"


def test_older_methods_under_hrda_learn_as_published():
    adversarial, self_training = first_seeds(41)[:4], first_seeds(41)[4:]
    for cfg in adversarial:
        order = [transform.type for transform in cfg.train_dataloader.dataset.source.pipeline]
        assert order[-4:] == ["RandomFlip", "PhotoMetricDistortion", "Pad", "PackInputs"]
        assert neutral(cfg)["optimizer"] == dict(
            type="SGD", lr=0.0025, momentum=0.9, weight_decay=0.0005, paramwise_cfg=dict(custom_keys={})
        )
        assert cfg.uda.get("published_double_update", False) == (cfg.uda.type == "AdvSeg")
        assert ("other_networks" in cfg) == (cfg.uda.type == "AdvSeg")
    for cfg in self_training:
        assert not step(cfg.train_dataloader.dataset.source, "PhotoMetricDistortion")
        assert neutral(cfg)["optimizer"]["type"] == "AdamW"
        assert cfg.optim_wrapper.paramwise_cfg.custom_keys == {"head": {"lr_mult": 10.0}}
    for cfg in (*adversarial, *self_training[:2]):
        dataset = cfg.train_dataloader.dataset
        assert "rare_class_sampling" not in dataset and "crop_pseudo_margins" not in dataset.target
    for cfg, ratio in zip(self_training[2:], (0.5, 2.0), strict=True):
        dataset = cfg.train_dataloader.dataset
        assert dataset.rare_class_sampling == dict(min_pixels=3000, class_temp=0.01, min_crop_ratio=ratio)
        assert dataset.target.crop_pseudo_margins == [30, 240, 30, 30]
        assert cfg.uda.imnet_feature_dist_lambda == 0.005 and cfg.uda.alpha == 0.999


def test_start_up_of_the_methods():
    """The methods of IDs 1 and 5, for two iterations."""
    longer = {
        cfg.name_uda: cfg for cfg in (*first_seeds(1), *first_seeds(5)) if cfg.name_decoder == "segformer"
    }
    for cfg in first_seeds(101):
        assert differences(cfg, longer[cfg.name_uda]) == {"max_iters", "eval_interval"}


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
    masking = dict(
        mask_mode="separatesrc",
        mask_lambda=1,
        mask_generator=dict(mask_ratio=0.7, mask_block_size=32),
    )
    assert cfg.uda == dict(type="SourceOnly", masking=masking)
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
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("run", FIRST_SEEDS, ids=lambda run: f"{run.exp_id}-{run.row.name}")
def test_config_survives_writing(run, checkout):
    cfg = make_config(run)
    path = run_folders.write_config(cfg, "unique", f"local-exp{run.exp_id}")
    assert path.resolve() == checkout / "configs" / "generated" / f"local-exp{run.exp_id}" / "unique.py"
    written = load_config(path)
    assert "_base_" not in path.read_text()
    assert (written.name, written.work_dir) == ("unique", f"work_dirs/local-exp{run.exp_id}/unique")
    assert written.to_dict() == cfg.to_dict()
    check_config(written)
