"""Let a labeller label images, whole or not at all, by one or several processes."""

import os
import shutil
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from mmengine.dist import all_reduce, barrier, get_rank, get_world_size, is_main_process
from mmengine.logging import print_log
from torch import Tensor

from mmseg.errors import DataError
from mmseg.labelling.label_folder import SUMMARY, RoundLabels, write_label, write_summary
from mmseg.labelling.labeller import Choice, Labeller, Survey
from mmseg.labels import IGNORE_INDEX, NUM_LABEL_VALUES

SECONDS_BETWEEN_REPORTS = 30


def label_images(
    labeller: Labeller,
    round: int,
    names: Sequence[str],
    predict: Callable[[int], Tensor],
    folder: str | Path,
    weights: str,
    classes: Sequence[str],
    draw: Callable[[RoundLabels], None] | None = None,
    prediction: Mapping[str, Any] | None = None,
) -> RoundLabels:
    """Label images and write the folder of a round, which appears when it is complete.

    All processes call it together; each predicts its share of the images, once for each survey of the
    labeller and once to label them. Nothing but the labels is kept, whatever the number of images.

    Args:
        labeller: Chooses the labels.
        round: Counts from 0.
        names: Names of the images, each another one.
        predict: Index of an image -> its class probabilities, (K, H, W) float32 at the size of the image.
        folder: To write, e.g. ``WORK_DIR/rounds/0``; what is there is replaced.
        weights: Digest of the weights that predict.
        classes: Names of the K classes.
        draw: Called in the main process when all labels are written, to add pictures of them.
        prediction: Settings of the prediction, for the summary.

    Raises:
        DataError: There is no image, or the folder holds something else than labels.
        ConfigError: The images cannot be labelled as the labeller should.
    """
    if not names:
        raise DataError(f"{folder}: there is no image to label; name a folder or split that holds some")
    labeller.check_images(1, len(names), trains=False)
    folder = Path(folder)
    if folder.is_dir() and any(folder.iterdir()) and not (folder / SUMMARY).is_file():
        raise DataError(
            f"{folder}: exists, but holds no {SUMMARY}; expected the labels of a round, which would be made "
            "again, or nothing: name another folder"
        )
    partial = folder.with_name(f".{folder.name}.tmp")
    if is_main_process():
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
    barrier()
    share = range(get_rank(), len(names), get_world_size())

    def show(survey: Survey) -> None:
        for index in _reported(share, f"{folder}: {type(survey).__name__}"):
            survey.add(names[index], predict(index))
        survey.merge()

    choice = _run(labeller.choose(round, len(classes)), show)
    pixels = torch.zeros(NUM_LABEL_VALUES, dtype=torch.int64)
    images = torch.zeros(2, dtype=torch.int64)  # with labels, with soft labels
    for index in _reported(share, f"{folder}: labels"):
        chosen = choice.label(names[index], predict(index))
        if chosen is not None:
            label = write_label(partial, names[index], chosen)
            pixels += torch.from_numpy(label).flatten().bincount(minlength=NUM_LABEL_VALUES)
            images += torch.tensor([1, chosen.soft is not None])
    all_reduce(pixels)
    all_reduce(images)
    counts, unlabelled = pixels[: len(classes)].tolist(), int(pixels[IGNORE_INDEX])
    labelled = sum(counts)
    summary = {
        "round": round,
        "labeller": labeller.settings,
        "prediction": dict(prediction or {}),
        "weights": weights,
        "classes": list(classes),
        "images": len(names),
        "labelled_images": int(images[0]),
        "soft": bool(images[1]),
        "soft_images": int(images[1]),
        "pixels": counts,
        "unlabelled_pixels": unlabelled,
        "labelled_share": labelled / max(1, labelled + unlabelled),
        "class_shares": [count / max(1, labelled) for count in counts],
        **choice.summary,
    }
    if is_main_process():
        write_summary(partial, summary, choice.splits)
        if draw is not None:
            draw(RoundLabels.read(partial))
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(partial, folder)
    barrier()
    return RoundLabels.read(folder)


def _run(program: Generator[Survey, None, Choice], show: Callable[[Survey], None]) -> Choice:
    while True:
        try:
            survey = next(program)
        except StopIteration as end:
            return end.value
        show(survey)


def _reported(indices: Sequence[int], what: str) -> Iterator[int]:
    """The indices; now and then the log tells how many are done and how long the others take."""
    start = last = time.monotonic()
    for done, index in enumerate(indices):
        now = time.monotonic()
        if done and now - last >= SECONDS_BETWEEN_REPORTS:
            eta = timedelta(seconds=int((now - start) / done * (len(indices) - done)))
            print_log(f"{what}: {done} of {len(indices)} images, {eta} to go", "current")
            last = now
        yield index
