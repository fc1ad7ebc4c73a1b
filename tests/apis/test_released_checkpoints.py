"""Folders with the checkpoints released with AdaptSegNet, ADVENT and CLAN: ``tools/test.py`` predicts what
the stored logits of the published implementations say."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_data import gen, listing, load
from PIL import Image
from toy_run import ROOT

from mmseg.checkpoints.files import find_checkpoint, find_config
from tools.test import main

SIZE = (97, 129)
"""(height, width) of the stored inputs; a resized image of this size is one of them."""


class Release(NamedTuple):
    """A released file, the config that tests it, and where its stored logits are.

    Attributes:
        counters: Whether its entries have batch counters; files before PyTorch 0.4.1 do not.
    """

    file: str
    config: str
    listed: str
    stored: str
    outputs: tuple[str, ...]
    counters: bool


RELEASES = [
    Release("GTA2Cityscapes_multi-ed35151c.pth", "deeplabv2_adaptsegnet_r101", "adaptseg_deeplab_multi",
            "adaptseg_deeplab_multi", ("conv5",), False),
    Release("gta2cityscapes_advent.pth", "deeplabv2_advent_r101", "adaptseg_deeplab_multi",
            "advent_deeplabv2", ("conv5",), True),
    Release("GTA2Cityscapes_CLAN.pth", "deeplabv2_clan_r101", "clan_deeplab", "clan_deeplab",
            ("cls1", "cls2"), True),
    Release("GTA2Cityscapes_vgg-ac4ac9f6.pth", "deeplabv2_adaptsegnet_vgg16", "adaptseg_deeplab_vgg",
            "adaptseg_deeplab_vgg", ("out",), False),
]  # fmt: skip


def weights(release: Release) -> dict[str, torch.Tensor]:
    """The weights of the stored numbers by the names of the file."""
    state = {}
    for key, shape, dtype in listing(f"alignment/statedict_net_{release.listed}"):
        if release.counters or dtype != "int64":
            sizes = tuple(int(length) for length in shape.split("x") if length)
            array = gen.fill_array(key, sizes, "i" if dtype == "int64" else "f")
            state[key] = torch.from_numpy(np.ascontiguousarray(array)).reshape(sizes)
    return state


def write_folder(folder: Path, release: Release) -> Path:
    """The released file beside a config, and the stored inputs as a validation set of Cityscapes."""
    images, labels = (folder / "data" / part / "val/frankfurt" for part in ("leftImg8bit", "gtFine"))
    for path in (images, labels, folder / "run"):
        path.mkdir(parents=True)
    for index, image in enumerate(gen.image_u8(31, (2, 3, *SIZE), 16)):
        stem = f"frankfurt_{index:06d}_000019"
        Image.fromarray(image.transpose(1, 2, 0)).save(images / f"{stem}_leftImg8bit.png")
        label = gen.label(index, (1, 1, *SIZE))[0, 0].astype(np.uint8)
        Image.fromarray(label).save(labels / f"{stem}_gtFine_labelTrainIds.png")
    torch.save(weights(release), folder / "run" / release.file, _use_new_zipfile_serialization=False)
    bases = ["default_runtime", "datasets/gta_to_cityscapes_whole", f"models/{release.config}"]
    paths = [str(ROOT / "configs/_base_" / f"{base}.py") for base in bases]
    (folder / "run" / "config.py").write_text(f"_base_ = {paths}\n")
    return folder / "run"


def settings(folder: Path, size: tuple[int, int]) -> list[str]:
    """Options for images of a size instead of 1024×512."""
    dataset = "test_dataloader.dataset"
    return [
        "--cfg-options",
        f"experiment_name={folder.parent.name}",
        "test_dataloader.num_workers=0",
        "test_dataloader.persistent_workers=False",
        f"{dataset}.data_root={folder.parent / 'data'}",
        f"{dataset}.pipeline.1.scale=({size[1]},{size[0]})",
    ]


@pytest.mark.parametrize(
    "release", [pytest.param(release, id=release.file, marks=[pytest.mark.slow] * (index in (0, 1)))
                for index, release in enumerate(RELEASES)],
)  # fmt: skip
def test_predictions_are_those_of_the_stored_logits(release: Release, tmp_path: Path) -> None:
    run = write_folder(tmp_path, release)
    config, checkpoint = find_config(run), find_checkpoint(run)
    assert checkpoint.name == release.file
    options = ["--show-dir", str(run / "preds"), "--opacity", "1", *settings(run, SIZE)]
    assert main([str(config), str(checkpoint), *options]) == 0
    stored = load(f"alignment/net_{release.stored}")
    low = sum(torch.from_numpy(stored[f"x_eval_{name}"]) for name in release.outputs)
    logits = F.interpolate(low, SIZE, mode="bilinear", align_corners=True)
    for index, expected in enumerate(logits.argmax(dim=1).numpy()):
        (path,) = (run / "preds").rglob(f"frankfurt_{index:06d}_*.png")
        assert len(np.unique(expected)) > 3
        assert (np.array(Image.open(path)) == expected).mean() >= 0.998
