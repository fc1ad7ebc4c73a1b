"""Pictures that show the same test images as several runs see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mmengine.config import Config
from PIL import Image

from mmseg.apis import inference_segmentor, init_segmentor
from mmseg.apis.testing import with_test_data
from mmseg.checkpoints.files import find_checkpoint, find_config, last_written
from mmseg.config.load import closest_hint, load_config
from mmseg.config.work_dir import plain_name, work_dir_of_test
from mmseg.datasets.segmentation_dataset import SegmentationDataset
from mmseg.datasets.several_test_sets import SeveralTestSets
from mmseg.datasets.transforms.loading import LoadImage
from mmseg.errors import ConfigError, DataError
from mmseg.registry import DATASETS
from mmseg.reports.collect import read_result
from mmseg.visualization.grid import draw_comparison
from mmseg.visualization.palette_image import Palette, Pixels

NUM_IMAGES = 4
TILE_WIDTH = 384
STORED = "preds"
"""Folder of a run where ``test.sh`` writes predictions."""
Labels = Sequence[Pixels]
"""A label map (H, W) of train ids for each image."""


@dataclass(frozen=True)
class ShownImages:
    """Some images of a test set.

    Attributes:
        names: Paths below the folder of the images, without suffix.
        files: The images.
        pixels: (H, W, 3) uint8 RGB of each.
        truth: Label maps, None without labels.
        classes: Names of the classes.
        palette: RGB of each class.
    """

    names: Sequence[str]
    files: Sequence[str]
    pixels: Sequence[Pixels]
    truth: Labels | None
    classes: Sequence[str]
    palette: Palette


def tested_data(cfg: Config) -> SegmentationDataset | SeveralTestSets:
    """What a config tests on, or else validates on.

    Raises:
        ConfigError, DataError: There is no such data set, or it is incomplete.
    """
    return DATASETS.build(with_test_data(cfg).test_dataloader.dataset)


def shown_images(
    dataset: SegmentationDataset | SeveralTestSets, chosen: int | Sequence[str] = NUM_IMAGES
) -> ShownImages:
    """Images of a test set.

    Args:
        dataset: The test set.
        chosen: How many, evenly spread, or names: paths below the folder of the images, or file names, with
            or without suffix.

    Raises:
        ConfigError: No image, or several, have such a name, or fewer than one is asked for.
    """
    if isinstance(chosen, int):
        if chosen < 1:
            raise ConfigError(
                f"--images {chosen}: expected a number from 1 on, or names of images; an image whose name is "
                "a number is named with its suffix"
            )
        number = min(chosen, len(dataset))
        indices = [index * len(dataset) // number for index in range(number)]
    else:
        indices = [_index_of(dataset, name) for name in chosen]
    samples = [dataset.samples[index] for index in indices]
    loader = LoadImage.of(dataset.transforms)
    truth = None
    if dataset.has_labels:
        truth = [dataset[index]["gt_semantic_seg"].numpy().astype(np.uint8) for index in indices]
    return ShownImages(
        [sample.name for sample in samples],
        [sample.img_path for sample in samples],
        [loader.read(sample.img_path) for sample in samples],
        truth,
        dataset.classes,
        dataset.palette,
    )


def _index_of(dataset: SegmentationDataset | SeveralTestSets, name: str) -> int:
    """The position of the image of a name."""
    found = [
        index
        for index, sample in enumerate(dataset.samples)
        if name in (sample.name, Path(sample.name).name, sample.img_path, Path(sample.img_path).name)
    ]
    if len(found) > 1:
        several = ", ".join(dataset.samples[index].name for index in found[:3])
        raise ConfigError(f"--images {name}: {len(found)} images have this name: {several}; name the folder")
    if not found:
        names = {sample.name for sample in dataset.samples}
        hint = closest_hint(name, names) if len(names) < 10 else closest_hint(name, names).partition("; k")[0]
        raise ConfigError(
            f"--images {name}: none of the {len(names)} test images in {dataset.img_dir} has this name{hint}"
        )
    return found[0]


def column_of(title: str, run_dir: Path, images: ShownImages, device: str | None = None) -> dict[str, Labels]:
    """What a run predicts for images: stored, or by its newest checkpoint.

    Stored predictions count unless the checkpoint is newer.

    Args:
        title: What the run is called.
        run_dir: Its folder.
        images: Of a data set with the classes of the run.
        device: Of the network; None takes a GPU when there is one.

    Returns:
        Caption (title, score, where the predictions come from) -> predictions.

    Raises:
        ConfigError, CheckpointError: There is neither a prediction nor a checkpoint, or no config.
    """
    labels = _stored(run_dir, images)
    if labels is not None:
        return {f"{title}\n{_score(work_dir_of_test(run_dir / STORED), run_dir)}, as stored": labels}
    checkpoint = find_checkpoint(run_dir)
    model = init_segmentor(find_config(run_dir), checkpoint, device=device)
    predicted = inference_segmentor(model, list(images.files))
    return {f"{title}\n{_score(run_dir)}, {checkpoint.name}": predicted}


def draw_columns(
    images: ShownImages, columns: Mapping[str, Labels], out: Path, width: int = TILE_WIDTH
) -> None:
    """Write images, truth and further columns, and the colours of the classes below.

    Args:
        images: A row each.
        columns: See :func:`column_of`.
        out: Picture to write.
        width: Of a column.

    Raises:
        OSError: The picture cannot be written.
    """
    truth: dict[str, Labels] = {} if images.truth is None else {"truth": images.truth}
    draw_comparison(
        images.pixels, truth | dict(columns), images.palette, out, width, images.names, images.classes
    )


def _stored(run_dir: Path, images: ShownImages) -> Labels | None:
    files = [run_dir / STORED / f"{name}.png" for name in images.names]
    if not all(path.is_file() for path in files):
        return None
    newest = last_written(run_dir)
    if newest is not None and newest.stat().st_mtime > min(path.stat().st_mtime for path in files):
        return None
    labels = [np.array(Image.open(path)) for path in files]
    fits = all(label.shape == each.shape[:2] for label, each in zip(labels, images.pixels, strict=True))
    return labels if fits else None  # colours over the image are no label map


def _score(*folders: Path) -> str:
    """The score of a finished run or test, of the first of some folders that has one."""
    for folder in folders:
        try:
            name, value = read_result(folder).first_score
        except DataError:
            continue
        if value is not None:
            return f"{name} {value:.1f}"
    return "no score"


def compare(
    runs: Mapping[str, Path], out: Path, chosen: int | Sequence[str] = NUM_IMAGES, device: str | None = None
) -> None:
    """Draw image, truth and the prediction of each run, with scores and the colours of the classes.

    Args:
        runs: Title -> folder of a run. All have the same classes; the test images are those of the first.
        out: Picture to write.
        chosen: See :func:`shown_images`.
        device: See :func:`column_of`.

    Raises:
        ConfigError, DataError, CheckpointError: A folder is no run, has nothing to show or other classes, or
            an image is unknown.
        OSError: The picture cannot be written.
    """
    for run_dir in runs.values():
        if not run_dir.is_dir():
            raise ConfigError(f"{run_dir}: no such folder; name folders of runs")
    folders = list(runs.values())
    first, *others = [tested_data(load_config(find_config(run_dir))) for run_dir in folders]
    for run_dir, dataset in zip(folders[1:], others, strict=True):
        if dataset.classes != first.classes:
            differing = ", ".join(sorted(set(dataset.classes) ^ set(first.classes))) or "their order"
            raise ConfigError(
                f"{run_dir}: its classes are not those of {folders[0]}, they differ in {differing}; expected "
                "runs with the same classes"
            )
    images = shown_images(first, chosen)
    columns: dict[str, Labels] = {}
    for title, run_dir in runs.items():
        columns |= column_of(title, run_dir, images, device)
    draw_columns(images, columns, out)


def titles_of(folders: Sequence[Path]) -> dict[str, Path]:
    """Runs by their names; by their paths where two are called alike."""
    names = [plain_name(folder.resolve().name) for folder in folders]
    return dict(zip(names if len(set(names)) == len(names) else map(str, folders), folders, strict=True))
