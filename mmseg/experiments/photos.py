"""The benchmark on photographs: CamVid by day to CamVid at dusk, and the toy game to CamVid by day.

docs/photo_benchmark.md says where the data come from and how each setting came about.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from mmseg.config.base import CONFIGS
from mmseg.errors import DataError
from mmseg.experiments.experiment import ConfigRow, Experiment

CAMVID, GAME = Path("data/camvid"), Path("data/camvid_game/gta")
GAME_IMAGES, SIZE = 305, (480, 360)
"""As many as CamVid has by day, and of its size."""

DUSK, BY_DAY = "CamVid by day → at dusk", "toy game → CamVid by day"
DUSK_FRAMES, DAY_FRAMES = str(CAMVID / "train/0001TP_*"), str(CAMVID / "train/00?6*")
"""Images of the targets, by the names of the drives."""
SUPERVISED = ("source_only", "source_only_longer", "oracle")
"""Rows that train on one data set."""


def _row(name: str, title: str, meaning: str) -> ConfigRow:
    return ConfigRow(
        CONFIGS / f"photos/{name}.py", title, meaning, prefix="day2dusk_", group=DUSK, norm_images=DUSK_FRAMES
    )


MAIN = [
    _row(*texts)
    for texts in (
        ("source_only", "source-only", "source labels only"),
        ("dacs", "DACS", "self-training on mixed images"),
        ("daformer", "DAFormer", "DACS, rare class sampling, feature distance"),
        ("oracle", "oracle", "target labels"),
        ("hrda", "HRDA", "DAFormer with large context and detail crops"),
        ("mic_daformer", "MIC(DAFormer)", "DAFormer and masked image consistency"),
        ("mic_hrda", "MIC(HRDA)", "HRDA and masked image consistency"),
        ("dacs_rcs", "DACS + RCS", "DACS and rare class sampling"),
    )
]
FURTHER = [
    _row(*texts)
    for texts in (
        ("dacs_fd", "DACS + FD", "DACS and feature distance"),
        ("source_only_rcs", "source-only + RCS", "source labels only, rare class sampling"),
        ("source_only_longer", "source-only, longer", "source labels only, twice the iterations"),
        ("min_ent", "MinEnt", "entropy minimisation"),
    )
]
ALIGNMENT = [
    _row(*texts)
    for texts in (
        ("adaptsegnet", "AdaptSegNet", "class probabilities aligned, patch by patch"),
        ("advent", "AdvEnt", "weighted self-information aligned"),
        ("clan", "CLAN", "class probabilities aligned where two classifiers disagree"),
    )
]
ORDER = (
    "source-only", "source-only, longer", "source-only + RCS", "AdaptSegNet", "MinEnt", "AdvEnt", "CLAN",
    "DACS", "DACS + RCS", "DACS + FD", "DAFormer", "HRDA", "MIC(DAFormer)", "MIC(HRDA)", "oracle",
)  # fmt: skip
"""Of the rows in the tables."""


def game_to_camvid(row: ConfigRow) -> ConfigRow:
    """The same training on the other pair: the labelled source is drawn, the target is CamVid by day."""
    name = Path(row.path).stem
    game = dict(data_root=str(GAME), img_dir="images", ann_dir="labels", split=None)
    day = dict(split=str(CAMVID / "day_train.txt"))
    test = dict(split=str(CAMVID / "day_test.txt"))
    training: dict[str, dict[str, Any]] = {"": day if name == "oracle" else game}
    if name not in SUPERVISED:
        training = {"source.": game, "target.": dict(day, crop_pseudo_margins=None)}
    parts = {f"train_dataloader.dataset.{role}": values for role, values in training.items()}
    parts |= {f"{split}_dataloader.dataset.": test for split in ("val", "test")}
    settings = {prefix + key: value for prefix, values in parts.items() for key, value in values.items()}
    return replace(row, prefix="game2camvid_", group=BY_DAY, norm_images=DAY_FRAMES, settings=settings)


def prepare_photos() -> None:
    """Convert CamVid, and draw the scenes of the game; what is there already stays.

    Raises:
        DataError: CamVid is not there.
    """
    from mmseg.datasets.conversion.camvid import CAMVID as conversion  # loads what converts and draws
    from mmseg.datasets.conversion.camvid import GAME as game
    from mmseg.datasets.conversion.camvid import convert_camvid
    from mmseg.datasets.conversion.runner import convert_dataset
    from mmseg.toy.generator import make_toy_dataset

    if not CAMVID.is_dir():
        raise DataError(f"{CAMVID}: folder not found; {conversion.remedy}: ln -s CamVid {CAMVID}")
    processes = os.cpu_count() or 1
    convert_camvid(str(CAMVID), nproc=processes)
    make_toy_dataset(GAME.parent, ["gta"], SIZE, train=GAME_IMAGES, nproc=processes)
    convert_dataset(game, str(GAME), nproc=processes)


PHOTOS = Experiment(
    "photographs: every method of the papers in small, with ImageNet weights, on CPU cores",
    sorted([*MAIN, *FURTHER, *ALIGNMENT], key=lambda row: ORDER.index(row.title)),
    stages=[
        (MAIN, [0]),
        ([game_to_camvid(row) for row in MAIN], [0]),
        (MAIN, [1]),
        (MAIN, [2]),
        (FURTHER, [0, 1, 2]),
        (ALIGNMENT, [0]),
        ([game_to_camvid(row) for row in ALIGNMENT], [0]),
    ],
    prepare=prepare_photos,
    parallel=2,
    page=CONFIGS.parent / "docs" / "photo_benchmark.md",
    shows_pictures=False,
)
