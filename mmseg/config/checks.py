"""What is checked before a run starts, so that a mistake costs seconds."""

import difflib
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from itertools import combinations, zip_longest
from pathlib import Path
from typing import Any, Literal

import torch
from mmengine.config import Config
from mmengine.registry import Registry
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from mmseg.argument_types import fits, in_words
from mmseg.checkpoints.files import is_intact, last_checkpoint, numbered_checkpoints
from mmseg.checkpoints.weights import TIMM_WEIGHTS, require_file
from mmseg.config.load import TOP_LEVEL_KEYS, closest_hint, entries, num_classes
from mmseg.config.options import held_at
from mmseg.config.tracking import check_trackers
from mmseg.config.work_dir import work_dir_of
from mmseg.datasets.domains import check_one_target, domain_configs
from mmseg.datasets.loaders import LOADERS, data_of
from mmseg.datasets.transforms import RandomCrop
from mmseg.datasets.verify import Part, quick_check
from mmseg.errors import CheckpointError, ConfigError
from mmseg.labelling.rounds import Rounds
from mmseg.registry import (
    DATA_SAMPLERS,
    DATASETS,
    HOOKS,
    LABELLERS,
    LOOPS,
    METRICS,
    MODELS,
    OPTIM_WRAPPERS,
    OPTIMIZERS,
    PARAM_SCHEDULERS,
    TRANSLATORS,
    VISBACKENDS,
    VISUALIZERS,
    check_arguments,
    check_part,
)

LOADER_KEYS = {*inspect.signature(DataLoader.__init__).parameters, "num_batch_per_epoch"} - {"self"}
PLAIN_SECTIONS = {
    **dict.fromkeys(LOADERS, LOADER_KEYS),
    "randomness": set(inspect.signature(Runner.set_randomness).parameters) - {"self"},
    "env_cfg": {"cudnn_benchmark", "mp_cfg", "dist_cfg", "resource_limit", "tf32"},
}
"""Sections that are no registered parts, with their keys."""
NETWORK_KEYS = {"optim_wrapper", "param_scheduler"}
"""Of each entry of ``other_networks``."""
VALUES: dict[str, Any] = {
    "load_from": str,
    "work_dir": str,
    "experiment_name": str,
    "model.pretrained": str,
    "resume": bool,
    "new_classifier": bool,
    "remap_classes": bool,
    "compile": bool | dict,
    "auto_scale_lr": dict,
    "sync_bn": Literal["torch", "mmcv"],
    "default_scope": Literal["mmseg"],
    "launcher": Literal["none", "pytorch", "slurm", "mpi"],
    "log_level": Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"],
    "custom_hooks": list[dict],
    "env_cfg.cudnn_benchmark": bool,
    "env_cfg.tf32": bool,
    "env_cfg.mp_cfg.mp_start_method": Literal["fork", "spawn", "forkserver"],
}
"""What settings of no registered part hold, where they are set."""
MAX_SEED = 2**32 - 1


STRIDE = 32
"""Of the last features of MiT and of most encoders."""
LAUNCHERS = {
    "pytorch": ("RANK", "torchrun --nproc_per_node=N"),
    "slurm": ("SLURM_PROCID", "srun --ntasks-per-node=N python"),
    "mpi": ("OMPI_COMM_WORLD_RANK", "mpirun -n N python"),
}
"""What each launcher sets for a process, and how it is called."""


def check_before_training(cfg: Config) -> None:
    """The cheap checks: config keys known, weights present, data in place, classes fitting."""
    check_config(cfg)
    _check_launcher(cfg.get("launcher", "none"))
    if cfg.get("uda"):
        _check_uda(cfg)
    labelling = (cfg.get("rounds") or {}).get("checkpoint")
    of_method = (value for _, key, value in entries(cfg.get("uda") or {}) if key == "checkpoint")
    pretrained = (cfg.get("model") or {}).get("pretrained")
    for path in (pretrained, cfg.get("load_from"), labelling, *of_method):
        if path and path != TIMM_WEIGHTS:
            require_file(path)
    if cfg.get("resume") and cfg.get("load_from") and not is_intact(cfg.load_from):
        raise CheckpointError(
            f"{cfg.load_from}: not a readable PyTorch checkpoint: it is damaged; download or train it again"
        )
    first, *others = quick_check(cfg, ("train_dataloader", "val_dataloader"))
    check_classes(cfg, first)
    if cfg.get("rounds"):
        _check_images_of_rounds([first, *others])
    for warning in schedule_warnings(cfg):
        print(f"warning: {warning}", file=sys.stderr)
    if cfg.get("uda"):
        for warning in check_crops(cfg, [first, *others]):
            print(f"warning: {warning}", file=sys.stderr)
    for part in others:
        if problem := validation_problem(first, part):
            raise ConfigError(f"{cfg.filename}: {problem}")


def schedule_warnings(cfg: Config) -> Iterator[str]:
    """What learning rates do in a run of this length."""
    schedulers = cfg.get("param_scheduler") or []
    length = cfg.train_cfg.get("max_iters")
    for index, scheduler in enumerate([schedulers] if isinstance(schedulers, dict) else schedulers):
        warm_up = scheduler.get("warmup_iters", 0)
        if isinstance(length, int) and warm_up >= length:
            yield (
                f"param_scheduler.{index}.warmup_iters={warm_up} with train_cfg.max_iters={length}: the "
                "learning rate never reaches that of the config; lower warmup_iters"
            )


def validation_problem(training: Part, part: Part) -> str:
    """Why scores on a data set cannot be computed, or would mean something else; empty where they can."""
    loader = part.name.split()[0]
    if training.dataset is None or part.dataset is None or loader not in ("val", "test"):
        return ""
    if loader == "val" and not part.dataset.has_labels:
        return (
            f"the data that training validates on, {part.dataset.img_dir}, have no labels; set ann_dir (and "
            "load_labels=True) of val_dataloader.dataset, or train without scores: --no-validate"
        )
    trained, found = training.dataset.classes, part.dataset.classes
    if found == trained:
        return ""
    pairs = zip_longest(trained, found)
    first = next((c, pair) for c, pair in enumerate(pairs) if pair[0] != pair[1])
    return (
        f"the classes of {part.name} are not those of the training data: class {first[0]} is {first[1][0]!r} "
        f"there and {first[1][1]!r} here; list the same classes in the same order"
    )


def check_rounds(cfg: Config) -> None:
    """Refuse settings of rounds that do not fit, or parts that know nothing of rounds.

    Raises:
        ConfigError: Names the setting.
    """
    if not cfg.get("rounds"):
        return
    rounds = Rounds.from_config(cfg.rounds, cfg.train_cfg.get("max_iters"))
    counts = cfg.optim_wrapper.get("accumulative_counts", 1)
    if any(length % counts for length in rounds.lengths):
        raise ConfigError(
            f"config: rounds.length={rounds.length} with optim_wrapper.accumulative_counts={counts}; "
            "expected multiples of it, so that a round ends with a whole step"
        )
    method_type, data_type = (cfg.get("uda") or {}).get("type"), cfg.train_dataloader.dataset.type
    method, data, labeller = (
        registry.get(name) if isinstance(name, str) else name
        for name, registry in (
            (method_type, MODELS), (data_type, DATASETS), (rounds.labeller["type"], LABELLERS)
        )
    )  # fmt: skip
    for place, name, part, expected in (
        ("uda", method_type, method, "a UDA method, as dict(type='SelfTraining')"),
        ("train_dataloader.dataset", data_type, data, "SelfTrainingDataset, EasyHardDataset or UDADataset"),
    ):
        if not hasattr(part, "begin_round"):
            raise ConfigError(
                f"config: rounds with {place} {name!r}, which cannot use the labels of a round (no "
                f"begin_round); expected {expected}"
            )
    _check_parts_of_rounds(method, data, labeller)
    targets = domain_configs("target", cfg.train_dataloader.dataset.get("target"))
    check_one_target([target.name for target in targets])


def _check_parts_of_rounds(method: Any, data: Any, labeller: Any) -> None:
    """Refuse a method, a data set and a labeller (classes) that do not go together, before anything is
    labelled."""
    names = f"{method.__name__}, {data.__name__} and {labeller.__name__}"
    problem = ""
    if labeller.splits_images and not data.splits_images:
        problem = "the labeller labels easy images alone; expected train_dataloader.dataset EasyHardDataset"
    elif data.splits_images and not labeller.splits_images:
        problem = "the data set needs easy and hard images; expected the labeller EntropyRanking or EasyHard"
    elif labeller.soft_labels and not data.soft_targets:
        problem = (
            "the labeller gives soft labels, the pairs of the data set hold hard ones; expected "
            "train_dataloader.dataset SelfTrainingDataset, or the labeller ClassBalanced"
        )
    elif data.mixed_batches and not method.takes_mixed_batches:
        problem = (
            "the data set mixes both domains, which are apart in the method; expected "
            "train_dataloader.dataset UDADataset, or the method SelfTraining"
        )
    if problem:
        raise ConfigError(f"config: {names} do not go together in rounds: {problem}")


def _check_images_of_rounds(parts: Sequence[Part]) -> None:
    """Every target image of the training data is labelled in a round."""
    target = next((part.dataset for part in parts if part.role == "target"), None)
    labelled = next((part.dataset for part in parts if part.name == "rounds.images"), None)
    if target is None or labelled is None:
        return
    names = {sample.name for sample in labelled.samples}
    missing = [sample.name for sample in target.samples if sample.name not in names]
    if missing:
        raise ConfigError(
            f"config: rounds.images ({labelled.img_dir}) lacks {len(missing)} of the {len(target)} images of "
            f"the target of training ({target.img_dir}), for example {missing[0]!r}; expected the same "
            "images: give both the same data_root, img_dir and split"
        )


def _check_launcher(launcher: str) -> None:
    """Refuse several processes that nobody started."""
    rank, program = LAUNCHERS.get(launcher, ("", ""))
    if rank and rank not in os.environ:
        raise ConfigError(
            f"launcher={launcher!r}: {rank} is not set; start the processes with {program} tools/train.py "
            f"CONFIG --launcher {launcher}"
        )
    if launcher == "slurm" and not torch.cuda.is_available():
        raise ConfigError("launcher='slurm': found no GPU; on CPUs start the processes with torchrun")


def _check_sources(cfg: Config) -> None:
    """Refuse data that do not show sources as the method needs them.

    Raises:
        ConfigError: It pairs images, or works on each of some sources.
    """
    method, dataset = MODELS.get(cfg.uda.type), cfg.train_dataloader.dataset
    sources = domain_configs("source", dataset.get("source") or dataset)
    joint = len(sources) if dataset.get("mode") == "joint" else 1
    if joint > 1 and getattr(method, "needs_equal_crops", False):
        raise ConfigError(
            f"config: {cfg.uda.type} pairs each source image with a target image, found mode='joint' of "
            f"{joint} sources in train_dataloader.dataset; expected mode='mixed'"
        )
    if getattr(method, "needs_each_source", False):
        number = cfg.uda.get("num_sources", inspect.signature(method).parameters["num_sources"].default)
        if number != joint:
            raise ConfigError(
                f"config: uda.num_sources={number} of {cfg.uda.type}, found images of {joint} in each sample "
                f"(sources {', '.join(each.name for each in sources) or 'without name'}, mode="
                f"{dataset.get('mode', 'mixed')!r}); expected so many named sources in "
                "train_dataloader.dataset, and mode='joint'"
            )


def _check_uda(cfg: Config) -> None:
    """Refuse loss scaling where two optimizers share gradients; warn of a distance to random features."""
    _check_sources(cfg)
    if cfg.uda.get("published_double_update") and cfg.optim_wrapper.get("precision") == "fp16":
        raise ConfigError(
            f"{cfg.filename}: uda.published_double_update=True with fp16: the optimizers share "
            "gradients, but scale losses differently; use --amp bf16"
        )
    random = not (cfg.get("model") or {}).get("pretrained")
    if cfg.uda.get("imnet_feature_dist_lambda") and random and not cfg.get("resume"):
        print(
            "warning: the feature distance will hold features close to those of a RANDOM network, since "
            "model.pretrained is None; name ImageNet weights there, or set uda.imnet_feature_dist_lambda=0",
            file=sys.stderr,
        )


def check_crops(cfg: Config, parts: Sequence[Part]) -> Iterator[str]:
    """What settings of the method mean for crops of this size.

    Args:
        cfg: A config with ``uda``.
        parts: Its data sets, opened.

    Yields:
        What may be intended.

    Raises:
        ConfigError: A setting is of a wrong type, or leaves nothing to learn.
    """
    check_part(cfg.uda, MODELS, "uda")
    crops = {
        part.name.removeprefix("train "): step.crop_size
        for part in parts
        if part.dataset is not None and part.role
        for step in [step for step in part.dataset.transforms if isinstance(step, RandomCrop)][:1]
    }
    joined = str((cfg.uda.get("masking") or {}).get("mask_mode")) in ("separate", "separateaug")
    _check_equal_crops(
        crops, cfg.uda.type, joined or getattr(MODELS.get(cfg.uda.type), "needs_equal_crops", False)
    )
    crop = next((size for title, size in crops.items() if title.startswith("target")), None)
    if crop is None:
        return
    (height, width), uda = crop, cfg.uda
    margins = [uda.get(f"pseudo_weight_ignore_{side}", 0) for side in ("top", "bottom")]
    if sum(margins) >= height:
        yield (
            f"uda.pseudo_weight_ignore_top={margins[0]} and _bottom={margins[1]} cover the {height} rows of "
            "the crop, so no pseudo-label counts; they are rows of the crop, not of the image"
        )
    block = ((uda.get("masking") or {}).get("mask_generator") or {}).get("mask_block_size")
    if isinstance(block, int) and block > 0:
        blocks = [max(1, round(length / block)) for length in (height, width)]
        setting = (
            f"uda.masking.mask_generator.mask_block_size={block} with crops of {width}x{height} pixels: a "
            "crop is masked as a whole, or not at all"
        )
        if max(blocks) == 1:
            raise ConfigError(f"config: {setting}; expected blocks of at most half a crop")
        if min(blocks) == 1:
            yield f"{setting} along its shorter side; lower it"
    if uda.get("imnet_feature_dist_lambda") and (height % STRIDE or width % STRIDE):
        yield (
            f"crops of {width}x{height} pixels are no multiples of {STRIDE}, the encoder's stride: in the "
            "feature distance the cells of the label lie beside those of the features by up to one cell"
        )


def _check_equal_crops(crops: dict[str, tuple[int, int]], method: str, mixes: bool) -> None:
    """Refuse crops of different sizes that form a batch, or are mixed by the method.

    Args:
        crops: (height, width) by the title of the domain, as ``source gta``.
    """
    for (first, size), (other, found) in combinations(crops.items(), 2):
        same_role = first.split()[0] == other.split()[0]
        if found != size and (mixes or same_role):
            reason = "they form a batch" if same_role else f"{method} mixes them"
            raise ConfigError(
                f"config: crops of {size[1]}x{size[0]} pixels from the {first} and {found[1]}x{found[0]} "
                f"from the {other}; {reason}, expected the same crop_size in both pipelines"
            )


def checkpoint_to_resume(cfg: Config) -> Path:
    """The newest checkpoint in the work dir that is whole.

    Raises:
        CheckpointError: There is none.
    """
    work_dir = work_dir_of(cfg)
    if last := last_checkpoint(work_dir):
        return last
    raise CheckpointError(
        f"{work_dir}: no {'undamaged ' if numbered_checkpoints(work_dir) else ''}checkpoint to resume from; "
        "start the run without --resume, or name a checkpoint with --resume-from"
    )


def check_classes(cfg: Config, first: Part) -> None:
    """Compare the number of classes of the network with that of the source (or only) training set.

    Raises:
        ConfigError: They differ.
    """
    if not cfg.get("model"):
        return
    dataset = DATASETS.build(first.cfg) if first.dataset is None else first.dataset
    classes, predicted = dataset.metainfo["classes"], num_classes(cfg)
    if not fits(predicted, int):
        raise ConfigError(f"config: model.decode_head.num_classes={predicted!r}; expected a whole number")
    if len(classes) != predicted:
        raise ConfigError(
            f"{cfg.filename}: the network predicts {predicted} classes, the data set has "
            f"{len(classes)} ({', '.join(classes[:5])}…); set model.decode_head.num_classes={len(classes)}"
        )


def check_config(cfg: Config) -> None:
    """Refuse what would be ignored or fail later: missing sections, misspelt keys, unknown arguments of
    parts.

    Networks and data sets are checked when they are built.

    Raises:
        ConfigError: Names the key and the closest known one.
    """
    needed = ("model",) if trains_student(cfg) else ()
    for key in (*needed, "train_dataloader", "train_cfg", "optim_wrapper"):
        if not cfg.get(key):
            raise ConfigError(
                f"{cfg.filename}: {key!r} is missing; see configs/_base_ for the parts of a config"
            )
    for key in cfg:
        close = difflib.get_close_matches(key, TOP_LEVEL_KEYS, n=1, cutoff=0.85)
        if key not in TOP_LEVEL_KEYS and close:  # other names may be variables of the config
            raise ConfigError(f"{cfg.filename}: unknown key {key!r}; did you mean {close[0]!r}?")
    if data_of(cfg, "train_dataloader") is None:
        raise ConfigError(
            f"{cfg.filename}: train_dataloader names no data; expected train_dataloader=dict(dataset=dict("
            "type=..., ...)), see docs/own_data.md"
        )
    content = cfg.to_dict()
    for place, hint in VALUES.items():
        value = held_at(content, place)
        if not (value is None or fits(value, hint)):
            raise ConfigError(f"config: {place}={value!r}; expected {in_words(hint)}")
    for place, part, registry in _registered_parts(cfg):
        check_part(part, registry, place)
    check_trackers(cfg)
    for section, known in PLAIN_SECTIONS.items():
        for key in sorted(set(cfg.get(section) or {}) - known):
            raise ConfigError(f"config: {section} has no {key!r}{closest_hint(key, known)}")
    check_arguments(Runner.set_randomness, cfg.get("randomness") or {}, "config: randomness.")
    seed = (cfg.get("randomness") or {}).get("seed") or 0
    if not fits(seed, int) or not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"config: randomness.seed={seed!r}; expected a whole number, 0 to {MAX_SEED}")
    for loader in LOADERS:
        if cfg.get(loader):
            check_arguments(DataLoader, cfg[loader], f"config: {loader}.")
    for place, value in _counts(cfg):
        if not isinstance(value, int) or value < 1:
            raise ConfigError(f"config: {place}={value!r}; expected a whole number of at least 1")
    if data_of(cfg, "val_dataloader") and not cfg.get("val_evaluator"):
        raise ConfigError(
            f"{cfg.filename}: val_evaluator={cfg.get('val_evaluator')!r} with val_dataloader; expected a "
            "metric, as dict(type='IoUMetric'); to train without scores leave val_dataloader out, or add "
            "--no-validate"
        )
    _check_accumulation(cfg)
    check_rounds(cfg)
    _check_names_of_sources(cfg)
    if not trains_student(cfg):
        _check_without_student(cfg)
    for place, wrapper in _optim_wrappers(cfg).items():
        rate = wrapper["optimizer"].get("lr")
        if not fits(rate, float) or rate < 0:
            raise ConfigError(f"config: {place}.optimizer.lr={rate!r}; expected a number from 0 on")


def _optim_wrappers(cfg: Config) -> dict[str, dict]:
    """Section -> its content with what it takes over from the student's: ``optim_wrapper`` and those of other
    networks, as ``other_networks.discriminator.optim_wrapper``."""
    further = {
        f"other_networks.{name}.optim_wrapper": {**cfg.optim_wrapper, **network.get("optim_wrapper", {})}
        for name, network in (cfg.get("other_networks") or {}).items()
    }
    student = {"optim_wrapper": cfg.optim_wrapper} if trains_student(cfg) else {}
    return student | further


def trains_student(cfg: Config) -> bool:
    """Whether the run of a config trains a segmentor; some methods train other networks alone."""
    name = (cfg.get("uda") or {}).get("type")
    return getattr(MODELS.get(name) if isinstance(name, str) else name, "has_student", True)


def _check_names_of_sources(cfg: Config) -> None:
    """Refuse a method whose sources have other names, or another order, than those of the data.

    Raises:
        ConfigError: Names both.
    """
    expected = (cfg.get("uda") or {}).get("sources")
    source = (data_of(cfg, "train_dataloader") or {}).get("source")
    found = [domain.name for domain in domain_configs("source", source)] if source else []
    if expected is not None and list(expected) != found:
        raise ConfigError(
            f"{cfg.filename}: uda.sources={list(expected)}; expected the sources of train_dataloader.dataset "
            f"in their order, found {', '.join(found) or 'none'}"
        )


def _check_without_student(cfg: Config) -> None:
    """Refuse what belongs to a segmentor where none is trained."""
    for key, instead in (
        ("model", "networks are arguments of uda"),
        ("val_dataloader", "nothing predicts classes that could be scored"),
        ("param_scheduler", "schedules stand in other_networks"),
        ("rounds", "nothing labels the target"),
        ("load_from", "a run that was interrupted goes on with --resume"),
    ):
        found = data_of(cfg, key) if key.endswith("dataloader") else cfg.get(key)
        if found and not (key == "load_from" and cfg.get("resume")):
            raise ConfigError(
                f"{cfg.filename}: found {key}, but {cfg.uda.type} trains no segmentor; {instead}, leave it "
                "out"
            )


def _check_accumulation(cfg: Config) -> None:
    """A run and its checkpoints end with a whole step."""
    counts = cfg.optim_wrapper.get("accumulative_counts", 1)
    lengths = {
        "train_cfg.max_iters": cfg.train_cfg.get("max_iters"),
        "default_hooks.checkpoint.interval": cfg.get("default_hooks", {})
        .get("checkpoint", {})
        .get("interval"),
    }
    for place, value in lengths.items():
        if isinstance(value, int) and value % counts:
            raise ConfigError(
                f"config: {place}={value} with optim_wrapper.accumulative_counts={counts}; expected a "
                "multiple of it, so that no gradient is lost"
            )


def _counts(cfg: Config) -> Iterator[tuple[str, Any]]:
    """Numbers of the config that count something."""
    for name in ("max_iters", "val_interval"):
        if name in cfg.train_cfg:
            yield f"train_cfg.{name}", cfg.train_cfg[name]
    for loader in LOADERS:
        if cfg.get(loader):
            yield f"{loader}.batch_size", cfg[loader].get("batch_size", 1)
            if cfg[loader].get("num_workers"):
                yield f"{loader}.num_workers", cfg[loader].num_workers
    for name, hook in (cfg.get("default_hooks") or {}).items():
        interval = (hook or {}).get("interval", 1)
        if interval != -1 or name == "logger":  # -1: never
            yield f"default_hooks.{name}.interval", interval


def _registered_parts(cfg: Config) -> Iterator[tuple[str, Any, Registry]]:
    """(place, config, registry) of the parts that mmengine builds itself."""
    sections: dict[str, Registry] = {
        "custom_hooks": HOOKS,
        "default_hooks": HOOKS,
        "param_scheduler": PARAM_SCHEDULERS,
        "train_cfg": LOOPS,
        "val_cfg": LOOPS,
        "test_cfg": LOOPS,
        "val_evaluator": METRICS,
        "test_evaluator": METRICS,
        "visualizer": VISUALIZERS,
    }
    content = {section: cfg.get(section) for section in sections}
    for name, network in (cfg.get("other_networks") or {}).items():
        section = f"other_networks.{name}"
        for key in sorted(set(network) - NETWORK_KEYS):
            raise ConfigError(f"config: {section} has no {key!r}{closest_hint(key, NETWORK_KEYS)}")
        sections[f"{section}.param_scheduler"] = PARAM_SCHEDULERS
        content[f"{section}.param_scheduler"] = network.get("param_scheduler")
    for section, registry in sections.items():
        value = content[section]
        if isinstance(value, list):
            yield from ((f"{section}.{index}", part, registry) for index, part in enumerate(value))
        elif isinstance(value, dict) and section == "default_hooks":
            yield from ((f"{section}.{name}", part, registry) for name, part in value.items() if part)
        elif isinstance(value, dict):
            yield section, value, registry
    if trains_student(cfg):
        yield "model", cfg.model, MODELS
    if cfg.get("uda"):
        yield "uda", cfg.uda, MODELS
    if (cfg.get("uda") or {}).get("translator"):
        yield "uda.translator", cfg.uda.translator, TRANSLATORS
    for section, wrapper in _optim_wrappers(cfg).items():
        yield section, wrapper, OPTIM_WRAPPERS
        yield f"{section}.optimizer", wrapper.get("optimizer"), OPTIMIZERS
    for index, backend in enumerate((cfg.get("visualizer") or {}).get("vis_backends", [])):
        yield f"visualizer.vis_backends.{index}", backend, VISBACKENDS
    for loader in LOADERS:
        if cfg.get(loader):
            yield f"{loader}.sampler", cfg[loader].get("sampler"), DATA_SAMPLERS
