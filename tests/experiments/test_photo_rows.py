"""The rows of the benchmark on photographs train alike, and differ in what their names say."""

import pytest

from mmseg.config.checks import check_config
from mmseg.experiments.experiment import Run
from mmseg.experiments.photos import BY_DAY, DUSK, MAIN, PHOTOS
from mmseg.registry import MODELS

RUNS = {run.name: run for run in PHOTOS.runs(10)}
CONFIGS = {name: run.config() for name, run in RUNS.items() if run.seed == 0}
DAY_TRAIN, DUSK_TRAIN = "data/camvid/day_train.txt", "data/camvid/dusk_train.txt"
ALIGNED = {"adaptsegnet": "AdvSeg", "advent": "AdvEnt", "clan": "CLAN"}


def method(name: str) -> str:
    return name.partition("_")[2].removesuffix("_s0")


def test_the_order_of_training():
    names = list(RUNS)
    assert len(names) == 3 * 8 + 8 + 3 * 4 + 2 * 3 == len(set(names))
    aligned = [f"{pair}_{name}_s0" for pair in ("day2dusk", "game2camvid") for name in ALIGNED]
    assert names[-6:] == aligned and set(PHOTOS.rows) <= {run.row for run in RUNS.values()}
    assert names[:4] == [f"day2dusk_{name}_s0" for name in ("source_only", "dacs", "daformer", "oracle")]
    assert all(name.startswith("game2camvid_") for name in names[8:16])
    assert [RUNS[name].seed for name in names[16:32]] == [1] * 8 + [2] * 8
    assert {run.row.group for run in RUNS.values()} == {DUSK, BY_DAY}
    assert Run(10, MAIN[0], 0) in PHOTOS.runs(10)


@pytest.mark.parametrize("name", CONFIGS)
def test_what_all_rows_share(name):
    cfg, reference = CONFIGS[name], CONFIGS["day2dusk_source_only_s0"]
    check_config(cfg)
    assert cfg.model.pretrained == cfg.model.backbone.name == "tf_efficientnet_lite0"
    for section in ("optim_wrapper", "param_scheduler"):
        assert cfg[section] == reference[section]
    assert cfg.train_cfg.max_iters == (2400 if "longer" in name else 1200)
    assert cfg.train_dataloader.batch_size == 2 and cfg.model.decode_head.channels == 64
    uda = cfg.get("uda") or {}
    assert uda.get("type") == {"min_ent": "MinEnt", "source_only_rcs": "SourceOnly", **ALIGNED}.get(
        method(name), None if method(name) in ("source_only", "source_only_longer", "oracle") else "DACS"
    )
    assert bool(uda.get("masking")) == ("mic" in name)
    assert (cfg.model.type == "HRDAEncoderDecoder") == ("hrda" in name)
    full = any(part in name for part in ("daformer", "hrda"))
    assert bool(uda.get("imnet_feature_dist_lambda")) == (full or "dacs_fd" in name)
    sampling = cfg.train_dataloader.dataset.get("rare_class_sampling")
    assert bool(sampling) == (full or "rcs" in name)
    if sampling:
        assert sampling.min_pixels == round(3000 * 480 * 360 / (1914 * 1052))
        assert sampling.min_crop_ratio == (2.0 if "hrda" in name else 0.5)
    if uda.get("type") == "DACS":
        assert (uda.alpha, uda.pseudo_threshold) == (0.99, 0.968)


@pytest.mark.parametrize("name", [name for name in CONFIGS if method(name) in ALIGNED])
def test_discriminators_follow_the_student(name):
    """In the published relation: 1e-4 to the 6e-5 of AdamW for the student."""
    cfg = CONFIGS[name]
    discriminator = cfg.other_networks.discriminator
    assert discriminator.param_scheduler == cfg.param_scheduler
    optimizer = discriminator.optim_wrapper.optimizer
    assert optimizer.type == "Adam" and optimizer.lr == pytest.approx(cfg.optim_wrapper.optimizer.lr / 0.6)
    assert cfg.uda.get("global_iters", 60) / cfg.train_cfg.max_iters == 5000 / 100_000
    uda = MODELS.build({**cfg.uda, "model": {**cfg.model, "pretrained": None}})
    names = {"clan": [], "advent": ["main"], "adaptsegnet": ["main"]}[method(name)]
    assert [key for key in ("main", "aux") if hasattr(uda.model_D, key)] == names
    assert (uda.model.auxiliary_head is None) == (method(name) != "clan")


@pytest.mark.parametrize("name", CONFIGS)
def test_no_row_but_the_oracle_sees_a_label_of_the_target(name):
    cfg, game = CONFIGS[name], name.startswith("game2camvid")
    train, target_list = cfg.train_dataloader.dataset, DAY_TRAIN if game else DUSK_TRAIN
    if "oracle" in name:
        assert train.split == target_list
        return
    source = train.get("source", train)
    if game:
        assert (source.data_root, source.split) == ("data/camvid_game/gta", None)
    else:
        assert (source.data_root, source.split) == ("data/camvid", DAY_TRAIN)
    if "target" in train:
        assert train.target.split == target_list and train.target.load_labels is False
        assert train.target.crop_pseudo_margins == (None if game else [0, 26, 0, 0])
    for split in ("val", "test"):
        test = cfg[f"{split}_dataloader"].dataset
        assert (test.img_dir, test.ann_dir) == ("test", "testannot")
        assert test.split == f"data/camvid/{'day' if game else 'dusk'}_test.txt"
