"""What of an old config is translated, reported, or refused."""

import copy
import json
import math
from typing import Any

import pytest
import torch
from old_configs import old_config
from published_settings import published_settings
from released_runs import as_json, as_python, stored_case

from mmseg.config.load import load_config
from mmseg.errors import ConfigError
from mmseg.legacy import is_legacy
from mmseg.registry import MODELS

SETTINGS = published_settings()


def published(exp_id: int, index: int) -> dict[str, Any]:
    """The 0.x config of a run."""
    return old_config(next(row for row in SETTINGS[exp_id] if row["index"] == index))


@pytest.fixture
def daformer() -> dict[str, Any]:
    return stored_case("daformer")["config"]


@pytest.fixture
def load(tmp_path):
    """Write a config as a run folder holds it and load it."""

    def write_and_load(config: dict[str, Any], options: dict | None = None):
        return load_config(as_json(config, tmp_path / "old_run"), options)

    return write_and_load


def at(config: Any, place: str) -> tuple[Any, Any]:
    """The container of an entry given by its dotted name, and its key there."""
    *way, last = (int(key) if key.isdigit() else key for key in place.split("."))
    for key in way:
        config = config[key]
    return config, last


def changed(config: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    config = copy.deepcopy(config)
    container, key = at(config, place)
    container[key] = value
    return config


def inner_dictionaries(config: Any, place: str = ""):
    """Dotted names of all dictionaries in a config."""
    if isinstance(config, dict):
        yield place
        for key, value in config.items():
            yield from inner_dictionaries(value, f"{place}.{key}".strip("."))
    elif isinstance(config, list):
        for index, value in enumerate(config):
            yield from inner_dictionaries(value, f"{place}.{index}")


# ------------------------------------------------------------------------------------------- nothing is lost

IGNORED = ("img_norm_cfg", "norm_cfg", "gta_train_pipeline", "cityscapes_train_pipeline", "test_pipeline",
           "log_config.hooks", "model.decode_head.init_cfg")  # fmt: skip
"""Variables of config files, which stand where they were used; settings of loggers; initial values."""


@pytest.mark.parametrize("case", [("daformer", 0), (81, 0), (1, 9)], ids=str)
def test_a_further_entry_anywhere_is_reported_refused_or_passed_on(case, load, capsys):
    name, index = case
    config = stored_case("daformer")["config"] if name == "daformer" else published(name, index)
    places = [place for place in inner_dictionaries(config) if not place.startswith(IGNORED)]
    assert len(places) > 40
    passed_on = []
    for place in places:
        try:
            cfg = load(changed(config, f"{place}.further_entry".strip("."), 7))
        except ConfigError as error:
            assert "further_entry" in str(error), place
            continue
        if "further_entry" not in capsys.readouterr().err:
            assert "further_entry" in str(cfg.to_dict()), place
            passed_on.append(place)
    # the parts themselves refuse it when they are built
    network = ("model.decode_head", "model.test_cfg")
    others = ("data.train.rare_class_sampling", "optimizer.paramwise_cfg", "uda.lambda")
    assert not [place for place in passed_on if not place.startswith(network + others)]


def test_unknown_entries_are_listed_and_known_ones_are_not(daformer, load, capsys):
    daformer |= dict(my_note="x", resume_from="work_dirs/a/latest.pth")
    daformer["uda"] |= dict(my_trick=True, print_grad_magnitude=True)
    daformer["log_config"]["hooks"].append(dict(type="WandbLoggerHook"))
    cfg = load(daformer)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("warning: ") and "old_run.json: no counterpart of " in line
    entries = line.split("no counterpart of ")[1].split("; see docs/old_runs.md")[0].split(", ")
    assert [entry.split(" (")[0] for entry in entries if "." in entry or "_" in entry] == [
        "uda.print_grad_magnitude", "uda.my_trick", "log_config.hooks.WandbLoggerHook", "resume_from",
        "my_note",
    ]  # fmt: skip
    assert "further" not in str(cfg) and (cfg.load_from, cfg.resume) == ("work_dirs/a/latest.pth", False)


REFUSED = {
    "fp16": dict(loss_scale=512.0),
    "custom_hooks": [dict(type="EMAHook")],
    "runner.type": "EpochBasedRunner",
    "optimizer_config": dict(type="Fp16OptimizerHook"),
    "optimizer.type": "Adamm",
    "lr_config.policy": "CosineAnnealing",
    "lr_config.warmup": "exp",
    "lr_config.by_epoch": True,
    "evaluation.metric": "mDice",
    "workflow": [["train", 1], ["val", 1]],
    "data.train.type": "RepeatDataset",
    "data.train.source.img_dir": ["a", "b"],
    "data.train.source.reduce_zero_label": True,
    "data.train.source.pipeline.2.ratio_range": [0.5, 2.0],
    "data.train.source.pipeline.2.img_scale": [[1280, 720], [640, 360]],
    "data.train.source.pipeline.2.type": "ResizeToMultiple",
    "data.train.source.pipeline.5.mean": [0, 0, 0],
    "data.train.source.pipeline.5.to_rgb": False,
    "data.train.source.pipeline.6.size_divisor": 32,
    "data.test.pipeline.1.flip": True,
    "data.test.pipeline.1.img_ratios": [0.5, 1.0],
    "data.val.ignore_index": 0,
    "model.type": "CascadeEncoderDecoder",
    "model.backbone.type": "SwinTransformer",
    "model.backbone.patch_size": 4,
    "model.decode_head.type": "FCNHeadd",
    "model.decode_head.align_corners": True,
    "model.decode_head.sampler": dict(type="OHEMPixelSampler"),
    "model.decode_head.loss_decode.use_sigmoid": True,
    "model.decode_head.loss_decode.type": "DiceLoss",
    "uda.type": "OtherMethod",
}


@pytest.mark.parametrize("place", REFUSED)
def test_what_changes_results_and_has_no_counterpart_is_refused(place, daformer, load):
    value = REFUSED[place]
    with pytest.raises(ConfigError) as error:
        load(changed(daformer, place, value))
    message = str(error.value)
    assert place.split(".")[-1] in message or place.split(".")[0] in message
    assert str(value) in message or place.endswith(
        ("policy", "warmup", "img_dir", "mean", "optimizer_config", "patch_size")
    )


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("model.backbone.strides", [1, 2, 2, 2]),
        ("model.backbone.contract_dilation", False),
        ("model.backbone.depth", 18),
        ("model.backbone.norm_eval", True),
        ("model.backbone.type", "ResNeXt"),
        ("uda.pseudo_weight_ignore_top", 15),
        ("uda.mask_generator.type", "patch"),
        ("uda.mask_generator", None),
    ],
)
def test_cnns_and_masking_in_forms_that_were_never_published(place, value, load):
    with pytest.raises(ConfigError, match="old config: "):
        load(changed(published(81, 0), place, value))


# ----------------------------------------------------------------------------------------- old names, options


def test_names_before_publication(load):
    """HRDA's first runs: other class names, an ASPP that did not know image pooling."""
    config = published(40, 0)
    today = load(config)
    config["model"]["type"] = "MultiResEncoderDecoder"
    config["model"]["backbone"]["ema_drop_path_rate"] = 0.0
    head = config["model"]["decode_head"]
    head |= dict(type="MultiResAttentionWrapper", single_scale_head="UniHead")
    del head["decoder_params"]["fusion_cfg"]["pool"]
    assert load(config).model == today.model
    del config["model"]["crop_coord_divisible"]
    assert load(config).model == {**today.model, "crop_coord_divisible": 1}
    assert built(load(config).model).crop_coord_divisible == 1


def test_several_losses_of_a_head(daformer, load):
    first = dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0, loss_name="loss_ce")
    second = dict(first, class_weight=[0.5] * 19, loss_name="loss_rare")
    single = load(changed(daformer, "model.decode_head.loss_decode", [first])).model.decode_head.loss_decode
    assert single == dict(type="CrossEntropyLoss", loss_weight=1.0)
    cfg = load(changed(daformer, "model.decode_head.loss_decode", [first, second]))
    assert cfg.model.decode_head.loss_decode == [
        dict(type="CrossEntropyLoss", loss_weight=1.0, loss_name="loss_ce"),
        dict(type="CrossEntropyLoss", loss_weight=1.0, class_weight=[0.5] * 19, loss_name="loss_rare"),
    ]
    assert built(cfg.model).decode_head.loss_names == ["loss_ce", "loss_rare"]
    with pytest.raises(ConfigError, match="DiceLoss"):
        load(changed(daformer, "model.decode_head.loss_decode", [first, dict(type="DiceLoss")]))


def built(model: dict[str, Any]) -> Any:
    """The network of a config, without memory for its weights."""
    with torch.device("meta"):
        return MODELS.build({**model, "pretrained": None})


def test_uni_head_has_no_image_pool(daformer, load):
    today = load(daformer)
    head = daformer["model"]["decode_head"]
    head["type"], head["decoder_params"]["fusion_cfg"]["pool"] = "UniHead", True
    assert load(daformer).model == today.model


def test_defaults_of_that_time(load):
    config = published(40, 0)
    for key in ("crop_coord_divisible", "test_cfg"):
        del config["model"][key]
    config["test_cfg"] = dict(mode="slide", crop_size=[512, 512], stride=[256, 256])
    model = load(config).model
    assert model.crop_coord_divisible == 1 and model.test_cfg == dict(
        mode="slide", crop_size=(512, 512), stride=(256, 256)
    )
    assert built(model).test_cfg == model.test_cfg


def test_infinite_temperature(load, tmp_path):
    """JSON has no infinity; Python's writer says ``Infinity``."""
    config = published(5, 0)
    assert config["data"]["train"]["rare_class_sampling"]["class_temp"] == math.inf
    assert "Infinity" in as_json(config, tmp_path / "raw").read_text()
    assert load(config).train_dataloader.dataset.rare_class_sampling.class_temp == "inf"


def test_masked_loss_keeps_its_published_weighting(load):
    config = published(83, 0)
    assert "published_mask_lambda" not in load(config).uda.masking
    config["uda"]["mask_lambda"] = 0.5
    masking = load(config).uda.masking
    assert masking.published_mask_lambda and masking.mask_lambda == 0.5
    config["uda"]["mask_mode"] = None
    assert "masking" not in load(config).uda


def test_other_normalisation_goes_to_the_preprocessor(daformer, load):
    def replace_all(value):
        if isinstance(value, dict):
            for entry in value.values():
                replace_all(entry)
            if value.get("type") == "Normalize":
                value |= dict(mean=[1.0, 2.0, 3.0], std=[4.0, 5.0, 6.0])
        elif isinstance(value, list):
            for entry in value:
                replace_all(entry)

    replace_all(daformer["data"])
    preprocessor = load(daformer).model.data_preprocessor
    assert preprocessor == dict(type="SegDataPreprocessor", mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))


def test_loops_hooks_and_start(daformer, load):
    daformer |= dict(load_from="start.pth", seed=5, cudnn_benchmark=False, log_level="WARNING")
    daformer["log_config"] |= dict(interval=7)
    daformer["uda"]["debug_img_interval"] = 11
    daformer["optimizer_config"] = dict(grad_clip=dict(max_norm=1.0))
    daformer["checkpoint_config"] = dict(by_epoch=False, interval=2000)
    daformer["data"]["workers_per_gpu"] = 0
    daformer["data"]["train"]["sync_crop_size"] = [256, 256]
    daformer["data"]["val"]["split"] = "val.txt"
    daformer["lr_config"] = dict(policy="poly", power=0.9, min_lr=1e-4, by_epoch=False)
    cfg = load(daformer)
    assert (cfg.load_from, cfg.randomness.seed, cfg.log_level) == ("start.pth", 5, "WARNING")
    assert not cfg.env_cfg.cudnn_benchmark and cfg.default_hooks.logger.interval == 7
    assert cfg.custom_hooks == [dict(type="DebugPicturesHook", interval=11)]
    assert cfg.optim_wrapper.clip_grad == dict(max_norm=1.0)
    checkpoints = cfg.default_hooks.checkpoint
    assert (checkpoints.interval, checkpoints.max_keep_ckpts) == (2000, -1)
    loaders = (cfg.train_dataloader, cfg.val_dataloader, cfg.test_dataloader)
    assert [loader.num_workers for loader in loaders] == [0, 0, 0]
    assert cfg.train_dataloader.dataset.sync_crop_size == (256, 256)
    assert cfg.val_dataloader.dataset.split == "data/cityscapes/val.txt"
    (schedule,) = cfg.param_scheduler
    assert schedule == dict(type="PolyWarmupLR", by_epoch=False, power=0.9, min_lr=1e-4, warmup_iters=0)
    del daformer["lr_config"]
    assert load(daformer).param_scheduler == []


def test_config_for_testing_alone(daformer, load, capsys):
    kept = {key: daformer[key] for key in ("model", "data")}
    del kept["data"]["train"], kept["data"]["val"]
    cfg = load(kept)
    assert "train_dataloader" not in cfg and "optim_wrapper" not in cfg
    assert cfg.val_dataloader.dataset == cfg.test_dataloader.dataset
    assert not capsys.readouterr().err


def test_overrides_by_old_and_new_names(daformer, load):
    options = {
        "data.test.data_root": "elsewhere", "runner.max_iters": 10, "test_dataloader.num_workers": 2,
        "model.test_cfg.mode": "whole", "uda.alpha": 0.5, "data.test.pipeline.1.img_scale": (512, 256),
    }  # fmt: skip
    cfg = load(daformer, options)
    dataset = cfg.test_dataloader.dataset
    assert dataset.data_root == "elsewhere" and dataset.pipeline[1] == dict(type="Resize", scale=(512, 256))
    assert (cfg.train_cfg.max_iters, cfg.uda.alpha, cfg.test_dataloader.num_workers) == (10, 0.5, 2)
    with pytest.raises(ConfigError, match="did you mean 'data'"):
        load(daformer, {"dataa.test": 1})


# ------------------------------------------------------------------------------------------ files and folders


def test_training_on_does_not_write_into_the_old_folder(daformer, tmp_path):
    old = tmp_path / "local-exp6" / "unique"
    old.mkdir(parents=True)
    for work_dir in (None, "work_dirs/local-exp6/unique"):
        daformer["work_dir"] = work_dir
        assert load_config(as_json(daformer, old / "unique")).work_dir == "work_dirs/unique_continued"
    daformer["work_dir"] = "work_dirs/another"
    assert load_config(as_json(daformer, old / "unique")).work_dir == "work_dirs/another"


def test_python_config_is_evaluated_with_its_bases(daformer, tmp_path):
    base = as_python({key: v for key, v in daformer.items() if key not in ("uda", "seed")}, tmp_path / "base")
    child = tmp_path / "child.py"
    child.write_text(
        f"_base_ = ['{base.name}']\nuda = {daformer['uda']!r}\nseed = 1 + 1\n"
        "data = dict(train=dict(rare_class_sampling=dict(_delete_=True, min_pixels=10)))\n"
    )
    cfg = load_config(child)
    assert cfg.randomness.seed == 2 and cfg.uda.alpha == 0.999
    assert cfg.train_dataloader.dataset.rare_class_sampling == dict(min_pixels=10)


@pytest.mark.parametrize("key", ["_base_", "custom_imports"])
@pytest.mark.parametrize("form", ["old", "today"])
def test_json_config_never_runs_code(key, form, daformer, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "harmful.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    values = {"_base_": ["harmful.py"], "custom_imports": dict(imports=["harmful"])}
    config = daformer if form == "old" else dict(model=daformer["model"])
    path = as_json({**config, key: values[key]}, tmp_path / "config")
    with pytest.raises(ConfigError, match=f"{key} in a JSON config"):
        load_config(path)
    nested = as_json(changed(config, f"model.{key}", values[key]), tmp_path / "nested")
    with pytest.raises(ConfigError, match=f"model.{key} in a JSON config"):
        load_config(nested)
    assert not (tmp_path / "ran").exists()


OLD_PARTS = ("model", "model.backbone", "model.decode_head.loss_decode", "model.decode_head", "data.test",
             "data.test.pipeline.0", "data.train.source", "uda", "optimizer", "runner")  # fmt: skip
TODAYS_PARTS = ("model.decode_head.loss_decode", "test_dataloader.dataset.pipeline.0", "test_evaluator",
                "default_hooks.logger", "log_processor", "train_dataloader.sampler", "optim_wrapper",
                "param_scheduler.0", "visualizer.vis_backends.0")  # fmt: skip


@pytest.fixture
def todays(daformer, load) -> dict[str, Any]:
    """The stored config in today's form, as JSON can hold it."""
    return json.loads(json.dumps(load(daformer).to_dict()))


@pytest.mark.parametrize("name", ["os.system", "os::system", "harmful.part", "list[os]", "mmseg.x", ""])
def test_json_config_imports_nothing(name, daformer, todays, load):
    """A registry would import a dotted name."""
    harmful = dict(type=name, command="touch ran")
    for config, places in ((daformer, OLD_PARTS), (todays, TODAYS_PARTS)):
        for place in places:
            with pytest.raises(ConfigError, match=rf"{place}\.type=.* in a JSON config"):
                load(changed(config, place, harmful))
    constructor = "optim_wrapper.constructor"
    with pytest.raises(ConfigError, match=f"{constructor}="):
        load(changed(todays, constructor, name))


@pytest.mark.parametrize(
    "place", ["default_scope", "model._scope_", "model.backbone._scope_", "test_dataloader._scope_"]
)
def test_json_config_names_no_other_scope(place, todays, load):
    with pytest.raises(ConfigError, match=f"{place}='harmful' in a JSON config"):
        load(changed(todays, place, "harmful"))
    for scope in ("mmseg", "mmengine", None):
        load(changed(todays, place, scope))


def test_overrides_of_a_json_config_import_nothing(daformer, todays, load, tmp_path):
    harmful = {"data.test.type": "os.system", "model.decode_head.loss_decode.type": "os.system"}
    for key, value in harmful.items():
        with pytest.raises(ConfigError, match="in a JSON config"):
            load(daformer, {key: value})
    for key, value in {"default_scope": "harmful", "test_evaluator": dict(type="os.system"),
                       "model.custom_imports": dict(imports=["harmful"])}.items():  # fmt: skip
        with pytest.raises(ConfigError, match="in a JSON config"):
            load(todays, {key: value})
    python = as_python(changed(daformer, "model.type", "EncoderDecoder"), tmp_path / "own_code")
    load_config(python, {"test_evaluator": dict(type="os.system")})  # a Python config is a program anyway


def test_text_in_a_json_config_is_text(daformer, load):
    daformer["name"] = "{{ fileDirname }} {{$HOME:x}} __import__('os')"
    assert load(daformer).name == daformer["name"]


@pytest.mark.parametrize("content", ["", "{", "[1, 2]", '"text"', "null"])
def test_damaged_json(content, tmp_path):
    path = tmp_path / "config.json"
    path.write_text(content)
    with pytest.raises(ConfigError, match=r"config\.json: "):
        load_config(path)


def test_config_of_today_as_json_stays_as_it_is(tmp_path):
    path = tmp_path / "today.json"
    path.write_text(json.dumps(dict(model=dict(type="EncoderDecoder"), name="n", data="a variable")))
    cfg = load_config(path, {"name": "other"})
    assert cfg.to_dict() == dict(model=dict(type="EncoderDecoder"), name="other", data="a variable")


def test_recognition(daformer):
    assert is_legacy(daformer)
    assert not is_legacy(dict(train_dataloader={}, data=dict(size=3), optimizer="x"))
    with pytest.raises(ConfigError, match=r"of the 0\.x form, optim_wrapper of today's"):
        is_legacy(daformer | dict(optim_wrapper={}))


@pytest.mark.parametrize("key", ["model", "data"])
@pytest.mark.parametrize("value", [3, [1], "text"])
def test_sections_have_to_be_dictionaries(key, value, daformer, load):
    daformer[key] = value
    if key == "model":
        with pytest.raises(ConfigError, match="expected a dictionary"):
            load(daformer)
    else:
        assert not is_legacy(daformer)


def test_missing_parts_are_named(daformer, load):
    for place in (
        "model.backbone",
        "model.decode_head.type",
        "data.train.target.pipeline",
        "runner.max_iters",
    ):
        config = copy.deepcopy(daformer)
        container, key = at(config, place)
        del container[key]
        with pytest.raises(ConfigError, match=place.rpartition(".")[2]):
            load(config)
