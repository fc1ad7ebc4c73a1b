"""Folders of runs as the published code left them behind."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from golden_data import GOLDEN, gen, listing
from torch import Tensor

OTHER_NETWORKS = ("ema_model.", "imnet_model.", "mic.", "model_D.")


def stored_case(name: str) -> dict[str, Any]:
    """Name, config, listing and image sizes of a stored run."""
    return json.loads((GOLDEN / "legacy" / f"{name}.json").read_text())


def published_weights(name: str) -> dict[str, Tensor]:
    """``state_dict`` of a checkpoint with the entries of a listing.

    The student has the weights of the stored cases. The other networks are constant, which takes no space.
    """
    state = {}
    for key, shape, dtype in listing(f"statedict_{name}"):
        sizes = [] if shape == "scalar" else [int(length) for length in shape.split("x")]
        floating = dtype == "float32"
        if key.startswith(OTHER_NETWORKS):
            value = torch.full((), 0.5) if floating else torch.zeros((), dtype=torch.int64)
            state[key] = value.expand(sizes)
        else:
            array = gen.fill_array(key, tuple(sizes), "f" if floating else "i")
            state[key] = torch.from_numpy(np.ascontiguousarray(array)).reshape(sizes)
    return state


def checkpoint(state: dict[str, Tensor], **entries: Any) -> dict[str, Any]:
    """A checkpoint file's content around a state dict."""
    meta = dict(iter=40000, epoch=12, mmcv_version="1.3.7", CLASSES=("road",), PALETTE=[[128, 64, 128]])
    return {"meta": {**meta, **entries}, "state_dict": state}


def write_images(root: Path, shapes: list[list[int]]) -> None:
    """The images and labels of the stored runs in the layout of Cityscapes."""
    images, labels = (root / part / "val" / "frankfurt" for part in ("leftImg8bit", "gtFine"))
    for folder in (images, labels):
        folder.mkdir(parents=True, exist_ok=True)
    for index, (height, width) in enumerate(shapes):
        image = gen.image_u8(900 + index, (1, 3, height, width), 32)[0].transpose(1, 2, 0)
        blurred = cv2.GaussianBlur(np.ascontiguousarray(image), (0, 0), 3)
        stem = f"frankfurt_{index:06d}_000019"
        cv2.imwrite(str(images / f"{stem}_leftImg8bit.png"), blurred[..., ::-1])
        label = gen.label(950 + index, (1, 1, height, width), 64)[0, 0].astype(np.uint8)
        cv2.imwrite(str(labels / f"{stem}_gtFine_labelTrainIds.png"), label)


def write_run(
    folder: Path, name: str, config: dict[str, Any], state: dict[str, Tensor], data_root: Path,
    write: Callable[[dict[str, Any], Path], Path],
) -> Path:  # fmt: skip
    """A run folder with config, checkpoint and link as the published code leaves it behind."""
    run = folder / name
    run.mkdir(parents=True)
    for split in ("val", "test"):
        config["data"][split]["data_root"] = f"{data_root}/"
    write(config, run / name)
    (run / "20211108_162200.log.json").write_text('{"mode": "train", "iter": 50, "lr": 1e-6}\n')
    (run / "20211108_162200.log").write_text("a log\n")
    torch.save(checkpoint(state), run / "iter_40000.pth")
    (run / "latest.pth").symlink_to("iter_40000.pth")
    return run


def as_json(config: dict[str, Any], path: Path) -> Path:
    """Write a config as DAFormer's and HRDA's launcher did."""
    path = path.with_name(path.name + ".json")
    path.write_text(json.dumps(config, indent=4))
    return path


def as_python(config: dict[str, Any], path: Path) -> Path:
    """Write a config as MIC's launcher did."""
    path = path.with_name(path.name + ".py")
    path.write_text("".join(f"{key} = {value!r}\n" for key, value in config.items()))
    return path
