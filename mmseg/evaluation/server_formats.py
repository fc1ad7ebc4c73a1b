"""Predictions as the evaluation servers of Cityscapes, ACDC and Dark Zurich take them."""

import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from cityscapesscripts.helpers.labels import trainId2label
from PIL import Image

from mmseg.checkpoints.atomic import replacing
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.transforms.loading import LoadImage
from mmseg.errors import ConfigError, DataError

MAX_NAMED_FILES = 10


@dataclass(frozen=True)
class ServerFormat:
    """One grey PNG per image, named ``<stem of the image file>.png``, all in one folder and one zip file.

    Args:
        name: Name of the format.
        ids: Pixel value of each of the 19 train ids.
        folder: Folder of the files in the zip file; empty for none.
        image_size: (width, height) that the server expects, where it is the same for all images.
    """

    name: str
    ids: tuple[int, ...]
    folder: str
    image_size: tuple[int, int] | None = None

    @property
    def lookup(self) -> npt.NDArray[np.uint8]:
        """Pixel value by train id."""
        return np.array(self.ids, np.uint8)


SERVER_FORMATS = {
    "cityscapes": ServerFormat(
        "cityscapes",
        tuple(trainId2label[index].id for index in range(19)),
        folder="",
        image_size=(2048, 1024),
    ),
    "trainids": ServerFormat("trainids", tuple(range(19)), folder="labelTrainIds"),
}
"""``cityscapes``: label ids, as the Cityscapes server takes them; ``trainids``: train ids, in the zip file in
a folder ``labelTrainIds``."""


def server_format(name: str, classes: Sequence[str]) -> ServerFormat:
    """The format of a name, for predictions of the given classes.

    Raises:
        ConfigError: There is no such format, or the classes are not the 19 of Cityscapes.
    """
    if name not in SERVER_FORMATS:
        raise ConfigError(f"--format {name}: no such format; known are {', '.join(SERVER_FORMATS)}")
    if tuple(classes) != CITYSCAPES_CLASSES:
        raise ConfigError(
            f"--format {name}: the servers evaluate the 19 Cityscapes classes, the data set has "
            f"{len(classes)} ({', '.join(list(classes)[:5])}…); write predictions with --show-dir or --out"
        )
    return SERVER_FORMATS[name]


def submission_names(images: Sequence[str | Path]) -> list[str]:
    """File name of the prediction of each image.

    Raises:
        DataError: Two images would get the same name.
    """
    names = [f"{Path(image).stem}.png" for image in images]
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise DataError(
            f"images of different folders share {len(doubled)} file names, for example {doubled[0]}; the "
            "servers take one flat folder, so names have to be distinct"
        )
    return names


def refuse_other_files(folder: Path, names: Sequence[str]) -> None:
    """Check that a folder holds no file that is not a prediction of these images.

    Raises:
        ConfigError: It does.
    """
    others = sorted({path.name for path in folder.iterdir()} - set(names)) if folder.is_dir() else []
    if others:
        raise ConfigError(
            f"{folder}: holds {len(others)} other files, for example {others[0]}; the folder has to hold the "
            "predictions alone, empty it or name another one with --format-dir"
        )


def write_submission_png(path: Path, train_ids: npt.NDArray[np.uint8], server: ServerFormat) -> None:
    """Write a prediction (H, W) of train ids as a grey PNG of the server's ids."""
    with replacing(path, flush=False) as temporary:
        Image.fromarray(server.lookup[train_ids]).save(temporary, format="PNG")


def check_submission(
    folder: Path, images: Sequence[str | Path], server: ServerFormat, loader: LoadImage | None = None
) -> int:
    """Read every file of a submission and compare it with its image.

    Args:
        folder: Folder of the PNG files.
        images: The images they belong to.
        server: Their format.
        loader: How the images were read; None: as without any setting.

    Returns:
        How many files do not have the size that the server expects.

    Raises:
        DataError: A file is missing or left over, is no grey 8-bit PNG, has another size than its image, or
            holds an id that is none of the format.
    """
    names = submission_names(images)
    left_over = sorted({path.name for path in folder.iterdir()} - set(names))
    problems = [f"{name}: belongs to no image" for name in left_over]
    unexpected_sizes = 0
    for name, image in zip(names, images, strict=True):
        if not (folder / name).is_file():
            problems.append(f"{name}: missing")
            continue
        size = (loader or LoadImage()).size(str(image))
        with Image.open(folder / name) as file:
            if (file.format, file.mode) != ("PNG", "L"):
                problems.append(f"{name}: {file.format} of mode {file.mode}, expected a grey 8-bit PNG")
            if file.size != size:
                problems.append(f"{name}: size {file.size}, its image has {size}")
            unexpected_sizes += server.image_size not in (None, file.size)
            unknown = sorted(set(np.unique(np.asarray(file)).tolist()) - set(server.ids))
        if unknown:
            problems.append(f"{name}: holds the ids {unknown}, which {server.name} does not evaluate")
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems[:MAX_NAMED_FILES])
        raise DataError(
            f"{folder}: {len(problems)} problems with the files for the server; expected one grey PNG of "
            f"{server.name} ids per image and nothing else; write them again into an empty folder. Found:"
            f"{shown}"
        )
    return unexpected_sizes


def zip_submission(folder: Path, images: Sequence[str | Path], server: ServerFormat) -> Path:
    """Pack the files of a submission into ``<folder>.zip``.

    Returns:
        The zip file. An existing one is replaced.
    """
    archive = folder.parent / f"{folder.name}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_STORED) as file:  # PNG files are compressed already
        for name in sorted(submission_names(images)):
            file.write(folder / name, f"{server.folder}/{name}" if server.folder else name)
    return archive
