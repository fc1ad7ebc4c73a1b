"""Testing a checkpoint."""

import copy
import shutil
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.logging import print_log
from mmengine.model import is_model_wrapper

from mmseg.apis.evaluation_options import (
    EvaluationOptions,
    folders_of,
    has_labels,
    set_evaluator,
    set_inference,
    use_test_split,
)
from mmseg.apis.norm_statistics import adapt_norms, image_files
from mmseg.apis.training import build_runner
from mmseg.checkpoints.weights import fit_classes, load_checkpoint, require_file
from mmseg.config.load import require_model
from mmseg.config.work_dir import work_dir_of
from mmseg.datasets.folders import common_folder
from mmseg.datasets.loaders import data_of
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.several_test_sets import SeveralTestSets, test_sets_of
from mmseg.datasets.verify import pipeline_problem
from mmseg.errors import ConfigError
from mmseg.models.normalization import without_pretrained
from mmseg.models.segmentors.ensemble import Ensemble

TRAINING_KEYS = (
    "train_dataloader", "train_cfg", "optim_wrapper", "other_networks", "param_scheduler", "uda",
    "auto_scale_lr", "val_dataloader", "val_cfg", "val_evaluator",
)  # fmt: skip


def test(cfg: Config, checkpoint: str | Path, **options: Any) -> dict[str, float]:
    """Evaluate a checkpoint on the config's test set.

    Args:
        cfg: The config the checkpoint was trained with; it stays as it is.
        checkpoint: A file of our runner or of the published code.
        **options: See :class:`~mmseg.apis.evaluation_options.EvaluationOptions`.

    Returns:
        The scores in percent; also written to ``cfg.work_dir/results.json`` and printed as a table. Empty
        where there are no labels, with ``submission`` and with the attention as output.

    Raises:
        ConfigError, DataError, CheckpointError: Options, data or weights are missing or do not fit.

    Example:
        ``test(cfg, 'run/latest.pth', scores=('mIoU', 'mFscore'), show_dir='run/preds', augment=(0.5, 1))``
    """
    chosen = EvaluationOptions(**options)
    for path in (checkpoint, *chosen.ensemble):
        require_file(path)
    cfg = test_config(cfg, chosen)
    runner = build_runner(cfg)
    model: Any = runner.model.module if is_model_wrapper(runner.model) else runner.model
    dataset = runner.test_dataloader.dataset
    for each in dataset.datasets.values() if isinstance(dataset, SeveralTestSets) else [dataset]:
        if isinstance(each, SegmentationDataset) and (problem := pipeline_problem(each, is_test=True)):
            raise ConfigError(f"{cfg.filename}: {problem}")
    classes = dataset.metainfo["classes"]
    if len(classes) != model.num_classes:
        raise ConfigError(
            f"{cfg.filename}: the network predicts {model.num_classes} classes, the test data have "
            f"{len(classes)}; list the classes of the network in the data set's config"
        )
    networks = [model, *(copy.deepcopy(model) for _ in chosen.ensemble)]
    for network, path in zip(networks, (checkpoint, *chosen.ensemble), strict=True):
        content = load_checkpoint(network, path, chosen.which)
        fit_classes(network, content, classes, path, chosen.remap_classes)
        if chosen.norm_images:
            adapt_norms(network, cfg.test_dataloader.dataset.pipeline, image_files(chosen.norm_images))
    if chosen.ensemble:
        runner.model = Ensemble(networks, chosen.ensemble_average)
    if not cfg.test_evaluator:
        print_log(_reason(cfg, chosen), "current")
    scores = runner.test()
    if chosen.out is not None and Path(chosen.out).suffix == ".json" and is_main_process():
        Path(chosen.out).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(runner.work_dir) / "results.json", chosen.out)
    return scores


def with_test_data(cfg: Config) -> Config:
    """A config that has data to test on: those for validation where it names no others.

    Raises:
        ConfigError: It has neither, or no network that predicts.
    """
    require_model(cfg)
    if data_of(cfg, "test_dataloader"):
        return cfg
    if not data_of(cfg, "val_dataloader"):
        raise ConfigError(
            f"{cfg.filename}: has no test_dataloader with a data set, so there is nothing to test on; "
            "expected e.g. test_dataloader=dict(dataset=dict(type='CustomDataset', data_root=..., "
            "test_mode=True, pipeline=[...])), see docs/own_data.md"
        )
    cfg = copy.deepcopy(cfg)
    cfg.test_dataloader = cfg.val_dataloader
    cfg.test_evaluator = cfg.get("test_evaluator") or cfg.get("val_evaluator")
    return cfg


def test_config(cfg: Config, options: EvaluationOptions) -> Config:
    """The part of a config that a test needs, changed as the options say.

    Raises:
        ConfigError: Options do not fit to the config or to each other.
    """
    cfg = copy.deepcopy(with_test_data(cfg))
    cfg.test_cfg = cfg.get("test_cfg") or dict(type="TestLoop")
    dataset = cfg.test_dataloader.dataset
    if len(test_sets_of(dataset)) > 1 and (options.norm_images or options.submission is not None):
        raise ConfigError(
            "--norm-images and --format-only are for one domain, found several in test_dataloader; name one "
            "with --cfg-options or in a config that is derived from this one"
        )
    if options.test_set:
        use_test_split(dataset)
    if options.submission is not None:
        dataset.load_labels = False
    if options.hrda_out == "ATT" or not has_labels(dataset):
        _check_without_scores(options)
        cfg.test_evaluator = []
    else:
        set_evaluator(cfg, options)
    set_inference(cfg, options)
    for key in list(cfg):
        if key in TRAINING_KEYS:
            cfg.pop(key)
    cfg.model = without_pretrained(cfg)
    cfg.load_from, cfg.resume = None, False
    cfg.visualizer = dict(type="Visualizer")
    cfg.custom_hooks = _hooks(work_dir_of(cfg), options)
    return cfg


def _hooks(work_dir: Path, options: EvaluationOptions) -> list[dict]:
    """What writes predictions and the confusion matrix."""
    hooks: list[dict] = []
    if options.confusion_matrix is not None:
        hooks.append(dict(type="ConfusionMatrixHook", out_dir=str(options.confusion_matrix)))
    if options.show_dir is not None:
        out_dir = str(options.show_dir)
        hooks.append(dict(type="PredictionWriterHook", out_dir=out_dir, opacity=options.opacity))
    if options.out is not None and Path(options.out).suffix == ".npz":
        hooks.append(dict(type="PredictionArchiveHook", path=str(options.out)))
    if options.submission is not None:
        default = work_dir / ("labelIds" if options.submission == "cityscapes" else "labelTrainIds")
        out_dir = str(options.submission_dir or default)
        hooks.append(dict(type="SubmissionHook", out_dir=out_dir, format=options.submission))
    return hooks


def _check_without_scores(options: EvaluationOptions) -> None:
    needs_scores = {
        "--calibration": options.calibration,
        "--confusion-matrix": options.confusion_matrix,
        f"--out {options.out}": options.out is not None and Path(options.out).suffix == ".json",
    }
    given = [name for name, value in needs_scores.items() if value]
    if given:
        raise ConfigError(
            f"{', '.join(given)}: no scores are computed, since there are no labels or --format-only is given"
        )
    if not options.writes_predictions:
        raise ConfigError(
            "the test data has no labels, so there is nothing to compute; write predictions with --show-dir, "
            "--out FILE.npz or --format-only, or set ann_dir of the test data"
        )


def _reason(cfg: Config, options: EvaluationOptions) -> str:
    if options.hrda_out == "ATT":
        return "Attention only: no scores are computed"
    if options.submission is not None:
        return "Files for the server only: no scores are computed"
    folder = common_folder([each.images for each in folders_of(cfg.test_dataloader.dataset)])
    return f"{folder}: there are no labels; predictions only, no scores are computed"
