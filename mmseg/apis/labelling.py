"""One labelling outside of a training."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.apis.inference import init_segmentor, test_pipeline
from mmseg.datasets.domains import check_one_target, domain_configs
from mmseg.datasets.files import IMAGE_ENDINGS
from mmseg.datasets.loaders import data_of
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.several_test_sets import test_sets_of
from mmseg.engine.label_pictures import draw_labels
from mmseg.engine.prediction import PREDICTION, Predictor, weights_digest
from mmseg.errors import ConfigError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.labelling.label_images import label_images
from mmseg.registry import DATASETS, LABELLERS, check_arguments


def label_target(
    cfg: Config,
    checkpoint: str | Path,
    labeller: Mapping[str, Any] | None = None,
    out: str | Path | None = None,
    images: str | Path | None = None,
    round: int = 0,
    pictures: int = 4,
    previous: str | Path | None = None,
    device: str | None = None,
    **prediction: Any,
) -> RoundLabels:
    """Label images with a trained network.

    Args:
        cfg: Config of the network.
        checkpoint: Its weights.
        labeller: Config of the labeller; by default that of ``rounds`` in the config.
        out: Folder to write; by default ``labels`` beside the checkpoint.
        images: Folder of images; by default those that ``rounds`` names, else the target images of the
            training, else the test images. Labels are never read.
        round: Counts from 0; labellers may have settings for each round.
        pictures: How many images are drawn.
        previous: Folder of earlier labels, for the picture of what is new.
        device: ``'cpu'``, ``'cuda:0'``…; None takes a GPU when there is one.
        **prediction: ``scales``, ``flip``, ``average``, ``rescaling`` and ``upsampling`` of
            :class:`~mmseg.engine.prediction.Predictor`; by default as ``rounds`` says, otherwise the mean
            over the image and the mirrored image.

    Raises:
        ConfigError, DataError, CheckpointError: Settings, images or weights are missing or do not fit.
    """
    rounds = cfg.get("rounds") or {}
    labeller = labeller or rounds.get("labeller")
    if not labeller:
        raise ConfigError(
            f"{cfg.filename}: has no rounds with a labeller; name one, e.g. --labeller ClassBalanced"
        )
    chooser = LABELLERS.build(dict(labeller))
    earlier = None if previous is None else RoundLabels.read(previous)
    model = init_segmentor(cfg, checkpoint, device)
    dataset = _images(cfg, images, model)
    if len(dataset.classes) != model.num_classes:
        raise ConfigError(
            f"{cfg.filename}: the network predicts {model.num_classes} classes, the images to label are said "
            f"to have {len(dataset.classes)}; list the classes of the network in the data set's config"
        )
    how = {"flip": True, **{key: rounds[key] for key in PREDICTION if key in rounds}, **prediction}
    check_arguments(Predictor, how, "images to label: ")
    predictor = Predictor(model, dataset, **how)
    return label_images(
        chooser,
        round,
        predictor.names,
        predictor,
        Path(checkpoint).parent / "labels" if out is None else out,
        weights_digest(model),
        dataset.classes,
        lambda labels: draw_labels(labels, predictor, pictures, earlier),
        how,
    )


def _images(cfg: Config, folder: str | Path | None, model: Any) -> SegmentationDataset:
    """The images to label."""
    settings: dict[str, Any] = dict(test_mode=True, load_labels=False)
    if folder is not None:
        own = dict(type="CustomDataset", data_root=str(folder), img_dir="", img_suffix=list(IMAGE_ENDINGS))
        classes = dict(classes=list(model.classes), palette=[list(color) for color in model.palette])
        return DATASETS.build({**own, **classes, **settings, "pipeline": test_pipeline(cfg)})
    training = data_of(cfg, "train_dataloader") or {}
    if named := (cfg.get("rounds") or {}).get("images"):
        dataset = named
    elif isinstance(training.get("target"), Mapping):
        targets = domain_configs("target", training["target"])
        check_one_target([target.name for target in targets])
        dataset = {**targets[0].dataset, "pipeline": test_pipeline(cfg), "prepared": None}
    else:
        tested = data_of(cfg, "test_dataloader") or data_of(cfg, "val_dataloader")
        dataset = tested and next(iter(test_sets_of(tested).values()))
    if not dataset:
        raise ConfigError(f"{cfg.filename}: names no images to label; name a folder of them with --images")
    return DATASETS.build({**copy.deepcopy(dict(dataset)), **settings})
