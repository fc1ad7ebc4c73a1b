"""What can be asked of a test, and how it changes a config."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from mmengine.config import Config, ConfigDict

from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.domains import domain_configs
from mmseg.datasets.files import as_suffixes, find_files
from mmseg.datasets.folders import Folder, resolve_folders
from mmseg.datasets.several_test_sets import test_sets_of
from mmseg.errors import ConfigError
from mmseg.evaluation.iou_metric import IoUMetric
from mmseg.models.segmentors import HRDAEncoderDecoder
from mmseg.registry import DATASETS, METRICS, MODELS

PUBLISHED_SCALES = (0.5, 0.75, 1.0, 1.25, 1.5, 1.75)
"""Of test-time augmentation, each also mirrored."""


@dataclass(frozen=True)
class EvaluationOptions:
    """What to compute and to write.

    Args:
        scores: What ``IoUMetric`` shows, any of ``mIoU``, ``mDice`` and ``mFscore``; None = as in the config.
            Other metrics of the config are shown anyway.
        class_subsets: Mean IoUs over fewer classes, ``16`` and ``13``; by default those of the evaluator, or
            both where the source is Synthia.
        calibration: Measure the expected calibration error, and write its table to
            ``work_dir/calibration.json``.
        confusion_matrix: Folder for ``confusion_matrix.png`` and ``confusion_matrix.csv``.
        show_dir: Folder for one PNG per image.
        opacity: 1 writes train ids with the palette; less blends the colours with the image.
        out: ``.json`` file for the scores, or ``.npz`` file for the predictions.
        submission: Write files for an evaluation server instead of computing scores: ``cityscapes`` or
            ``trainids``.
        submission_dir: Folder of these files; by default ``work_dir/labelIds`` or ``labelTrainIds``.
        which: ``student`` or ``teacher``.
        test_set: Test the ``test`` split instead of ``val``.
        inference_mode: ``whole`` or ``slide`` instead of ``same``, what the config says.
        augment: Scales of test-time augmentation, each also mirrored; empty = none.
        augment_average: What is averaged over them, ``probabilities`` or ``logits``.
        remap_classes: Where data and checkpoint have the same classes in another order, give the network
            that of the data.
        ensemble: Further checkpoints of the config's network.
        ensemble_average: What is averaged over them, ``logits`` or ``probabilities``.
        norm_images: Files or folders of images without labels, whose statistics the batch norms take before
            the test (:func:`~mmseg.apis.norm_statistics.adapt_norms`); empty = those of the training.
        hrda_out: Of a multi-resolution network ``LR``, the prediction of the context alone, ``HR``, that of
            the detail alone, or ``ATT``, the attention as grey pictures instead of predictions.
    """

    scores: Sequence[str] | None = None
    class_subsets: Sequence[str] | None = None
    calibration: bool = False
    confusion_matrix: str | Path | None = None
    show_dir: str | Path | None = None
    opacity: float = 1.0
    out: str | Path | None = None
    submission: str | None = None
    submission_dir: str | Path | None = None
    which: str = "student"
    test_set: bool = False
    inference_mode: str = "same"
    augment: Sequence[float] = ()
    augment_average: str = "probabilities"
    remap_classes: bool = False
    ensemble: Sequence[str | Path] = ()
    ensemble_average: str = "logits"
    norm_images: Sequence[str | Path] = ()
    hrda_out: str | None = None

    def __post_init__(self) -> None:
        if self.out is not None and Path(self.out).suffix not in (".json", ".npz"):
            raise ConfigError(
                f"--out {self.out}: expected FILE.json for the scores or FILE.npz for the predictions; "
                "pickle files are not written, since reading one can run any code"
            )
        if self.which not in ("student", "teacher"):
            raise ConfigError(f"--which {self.which}: expected student or teacher")
        if self.hrda_out == "ATT":
            self._check_attention()

    def _check_attention(self) -> None:
        if self.show_dir is None:
            raise ConfigError("--hrda-out ATT: writes pictures only; name a folder for them with --show-dir")
        labels = {
            "--calibration": self.calibration,
            "--confusion-matrix": self.confusion_matrix,
            "--out": self.out,
            "--format-only": self.submission,
            "--aug-test": self.augment,
            "--ensemble": self.ensemble,
        }
        given = [name for name, value in labels.items() if value]
        if given:
            raise ConfigError(
                f"--hrda-out ATT with {', '.join(given)}: attention is no prediction; leave one of them out"
            )

    @property
    def writes_predictions(self) -> bool:
        """Whether anything is left of a test that computes no scores."""
        writes_archive = self.out is not None and Path(self.out).suffix == ".npz"
        return self.show_dir is not None or writes_archive or self.submission is not None


# -------------------------------------------------------------------------------------------------- networks


def set_inference(cfg: Config, options: EvaluationOptions) -> None:
    """Change how a config's network predicts.

    Raises:
        ConfigError: Sliding windows without size, or an output of HRDA asked of another network.
    """
    test_cfg = ConfigDict(cfg.model.get("test_cfg") or dict(mode="whole"))
    if options.inference_mode != "same":
        test_cfg.mode = options.inference_mode
    if test_cfg.mode == "slide" and not (test_cfg.get("crop_size") and test_cfg.get("stride")):
        raise ConfigError(
            "--inference-mode slide: the config has no size of the windows (height, width); add "
            "--cfg-options 'model.test_cfg.crop_size=(512,512)' 'model.test_cfg.stride=(256,256)'"
        )
    if options.hrda_out is not None:
        network = MODELS.get(cfg.model.type)
        if network is None or not issubclass(network, HRDAEncoderDecoder):
            raise ConfigError(
                f"--hrda-out {options.hrda_out}: the network is of type {cfg.model.type}; only an "
                "HRDAEncoderDecoder has two scales"
            )
        test_cfg.hrda_out = options.hrda_out
    if options.augment:
        augmentation = _augmentation(cfg.test_dataloader, options.augment)
        test_cfg.augmentation = dict(augmentation, average=options.augment_average)
    if options.calibration:
        test_cfg.confidence = True
    cfg.model.test_cfg = test_cfg


def _augmentation(loader: ConfigDict, scales: Sequence[float]) -> dict:
    """Let the network resize the images of a loader, which then hands them over as they are."""
    if len(test_sets_of(loader.dataset)) > 1:
        raise ConfigError(
            "test-time augmentation resizes the images of one data set, found several in test_dataloader; "
            "expected --cfg-options that name one, or a test without --aug-test"
        )
    pipeline = loader.dataset.pipeline
    resize: dict = next((step for step in pipeline if step["type"] == "Resize"), {})
    loader.dataset.pipeline = [step for step in pipeline if step["type"] != "Resize"]
    loader.batch_size = 1  # files may have different sizes
    base_scale, keep_ratio = resize.get("scale"), resize.get("keep_ratio", True)
    return dict(scales=list(scales), flip=True, base_scale=base_scale, keep_ratio=keep_ratio)


# ------------------------------------------------------------------------------------------------------ data


def use_test_split(dataset: ConfigDict) -> None:
    """Let the config of a data set name the ``test`` split instead of ``val``.

    The last folder ``val`` of each ``img_dir`` and ``ann_dir`` is replaced, and the file name of ``split``;
    ``data_root`` stays as it is. Where a label folder holds no file, labels are not read.

    Raises:
        ConfigError: An image folder has no part ``val``.
    """
    if (sets := test_sets_of(dataset)).keys() != {""}:
        for each in sets.values():
            use_test_split(each)
        return
    found = dataset.get("img_dir", "")
    if not all({"test", "val"} & set(PurePosixPath(folder).parts) for folder in _each(found)):
        raise ConfigError(
            f"--test-set: img_dir={found!r} of the test data has no folder 'val' to replace by 'test'; set "
            "img_dir and ann_dir with --cfg-options test_dataloader.dataset.img_dir=..."
        )
    for key in ("img_dir", "ann_dir", "split"):
        if value := dataset.get(key):
            change = _split_file_of_test if key == "split" else _with_test
            dataset[key] = (
                change(value) if isinstance(value, str) else [text and change(text) for text in value]
            )
    if not _has_label_files(dataset):
        dataset.load_labels = False


def _each(texts: str | Sequence[str]) -> Sequence[str]:
    return [texts] if isinstance(texts, str) else texts


def _with_test(folder: str) -> str:
    parts = list(PurePosixPath(folder).parts)
    if "val" in parts:
        last = len(parts) - 1 - parts[::-1].index("val")
        parts[last] = "test"
    return str(PurePosixPath(*parts))


def _split_file_of_test(file: str) -> str:
    path = PurePosixPath(file)
    return str(path.with_stem("test") if path.stem == "val" else path)


def folders_of(dataset: ConfigDict) -> list[Folder]:
    """The folders that the config of a data set names."""
    if (sets := test_sets_of(dataset)).keys() != {""}:
        return [folder for each in sets.values() for folder in folders_of(each)]
    kind = DATASETS.get(dataset.type)
    return resolve_folders(
        dataset.get("data_root", ""),
        dataset.get("img_dir") or kind.default_img_dir,
        dataset.get("ann_dir") or kind.default_ann_dir,
        dataset.get("split"),
    )


def _has_label_files(dataset: ConfigDict) -> bool:
    """Whether each label folder holds a file."""
    if not has_labels(dataset):
        return False
    kind = DATASETS.get(dataset.type)
    suffixes = as_suffixes(dataset.get("seg_map_suffix") or kind.default_seg_map_suffix)
    folders = [folder.labels for folder in folders_of(dataset) if folder.labels is not None]
    return all(folder.is_dir() and find_files(folder, suffixes).paths for folder in folders)


def has_labels(dataset: ConfigDict) -> bool:
    """Whether the config of a data set asks for labels."""
    if (sets := test_sets_of(dataset)).keys() != {""}:
        return all(has_labels(each) for each in sets.values())
    kind = DATASETS.get(dataset.type)
    default = getattr(kind, "default_ann_dir", None)
    return dataset.get("load_labels", True) and bool(dataset.get("ann_dir") or default)


# ---------------------------------------------------------------------------------------------------- scores


def set_evaluator(cfg: Config, options: EvaluationOptions) -> None:
    """Change what the evaluator of a config computes.

    Raises:
        ConfigError: Scores of an ``IoUMetric`` are asked for, and there is none.
    """
    evaluator = cfg.get("test_evaluator") or dict(type="IoUMetric")
    metrics = [ConfigDict(metric) for metric in (evaluator if isinstance(evaluator, list) else [evaluator])]
    asked = [metric for metric in metrics if _shows_iou(metric)]
    if not asked and (options.scores or options.class_subsets):
        names = ", ".join(str(metric.type) for metric in metrics)
        raise ConfigError(
            f"--eval and --class-subsets name scores of IoUMetric; the evaluator of the config is {names}; "
            "leave them out, or add dict(type='IoUMetric')"
        )
    dataset = next(iter(test_sets_of(cfg.test_dataloader.dataset).values()))
    classes = dataset.get("classes") or DATASETS.get(dataset.type).default_classes
    if options.class_subsets and tuple(classes) != CITYSCAPES_CLASSES:
        raise ConfigError(
            f"--class-subsets {' '.join(options.class_subsets)}: subsets of the 19 classes of Cityscapes; "
            f"the test data have {len(classes)} of their own ({', '.join(list(classes)[:5])}…): leave it out"
        )
    for metric in asked:
        if options.scores:
            metric.metrics = list(options.scores)
        subsets = options.class_subsets or metric.get("class_subsets") or _subsets_of_source(cfg)
        metric.class_subsets = list(subsets)
    if options.calibration:
        metrics.append(ConfigDict(type="CalibrationMetric"))
    cfg.test_evaluator = metrics


def _shows_iou(metric: ConfigDict) -> bool:
    kind = METRICS.get(metric.type)
    return kind is not None and issubclass(kind, IoUMetric)


def _subsets_of_source(cfg: Config) -> tuple[str, ...]:
    """The class subsets that belong to the data sets a network was trained on, all of them."""
    dataset = (cfg.get("train_dataloader") or {}).get("dataset")
    if not dataset:
        return ()
    sources = domain_configs("source", dataset.get("source") or dataset)
    subsets = [getattr(DATASETS.get(each.dataset.type), "class_subsets", ()) for each in sources]
    return tuple(name for name in subsets[0] if all(name in others for others in subsets))
