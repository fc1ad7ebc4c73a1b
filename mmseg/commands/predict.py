"""Segment your own images and videos.

INPUT is an image, a folder (with those below it), a pattern such as ``'drive/*.jpg'``, a video file, or
``camera:0``. NETWORK is the config of a checkpoint, a folder that holds both, ``hf://owner/name`` on the
Hugging Face hub, or an exported file (.onnx, .pt2).

Each result is written as ``<name>_pred<ext>`` (``.png`` for formats that cannot be written) beside the image,
or to ``--out-dir``, where folders stay as they are, and its path is printed. Where two images would be
written to one file, the name of the second keeps its suffix: ``<name><ext>_pred.png``. Videos become
``<name>_pred.mp4``.
"""

import argparse
import glob
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg.cli import command
from mmseg.errors import ConfigError, DataError

if TYPE_CHECKING:
    import numpy as np

    from mmseg.apis.inference import Prediction
    from mmseg.visualization.palette_image import Palette

VIDEO_ENDINGS = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v")
CAMERA = "camera:"
EXPORTED = (".onnx", ".pt2")
KINDS = {
    "overlay": "colours over the image",
    "ids": "indexed PNG of train ids, <name>_ids.png",
    "probabilities": "float16 of every class and pixel, <name>_probabilities.npz",
}
"""What can be written of an image."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("input", help="image, folder, pattern, video or camera:N")
    parser.add_argument("network", help="config of the network, or a network that needs none beside it")
    parser.add_argument("checkpoint", nargs="?", help="weights that belong to the config")
    parser.add_argument("--device", help="cpu, cuda:0, …; default: a GPU when there is one")
    parser.add_argument(
        "--save", nargs="+", choices=KINDS, default=["overlay"],
        help="; ".join(f"{kind}: {what}" for kind, what in KINDS.items()),
    )  # fmt: skip
    parser.add_argument(
        "--palette", choices=["checkpoint", "cityscapes"], default="checkpoint", help="colours of the classes"
    )
    parser.add_argument("--opacity", type=float, default=0.5, help="1 hides the image, 0 the prediction")
    parser.add_argument("--out-dir", type=Path, help="where to write (default: beside each image)")
    parser.add_argument(
        "--tile", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
        help="predict huge images in parts of this size, at their own resolution",
    )  # fmt: skip
    parser.add_argument("--frames", type=int, help="of a video or camera (default: all)")
    return parser.parse_args(argv)


# ----------------------------------------------------------------------------------------------- what to read


def find_images(place: str | Path) -> list[Path]:
    """The image itself, all images in a folder and below, or those of a pattern; without earlier results and
    hidden files.

    Raises:
        DataError: There are none.
    """
    from mmseg.datasets.files import IMAGE_ENDINGS, walk

    path = Path(place)
    if path.is_file():
        return [path]
    if path.is_dir():
        found = [Path(folder, name) for folder, names in walk(path) for name in names]
    else:
        found = [
            path for name in sorted(glob.glob(str(place), recursive=True)) if (path := Path(name)).is_file()
        ]
    images = [
        p for p in found if p.suffix.lower() in IMAGE_ENDINGS and not p.stem.endswith(("_pred", "_ids"))
    ]
    if not images:
        raise DataError(f"{place}: neither an image nor a folder with images ({', '.join(IMAGE_ENDINGS)})")
    return images


def is_video(place: str) -> bool:
    """Whether frames are read instead of image files."""
    return place.startswith(CAMERA) or (Path(place).suffix.lower() in VIDEO_ENDINGS and Path(place).is_file())


def result_names(images: list[Path]) -> list[str]:
    """File names of the results of one folder, each another one, also where capital letters do not count.

    Images in a format that can be written come first, so that the others do not take their names.
    """
    import cv2

    suffixes = [path.suffix if cv2.haveImageWriter(f"_{path.suffix}") else ".png" for path in images]
    names: dict[int, str] = {}
    taken: set[str] = set()
    for i in sorted(range(len(images)), key=lambda i: suffixes[i] != images[i].suffix):
        name, stem = f"{images[i].stem}_pred{suffixes[i]}", images[i].name
        while name.lower() in taken:
            name, stem = f"{stem}_pred{suffixes[i]}", f"{stem}_"
        taken.add(name.lower())
        names[i] = name
    return [names[i] for i in range(len(images))]


def result_paths(images: list[Path], place: Path, out_dir: Path | None) -> list[Path]:
    """Where the result of each image goes: beside it, or below ``out_dir`` as the image below ``place``."""
    folders: dict[Path, list[Path]] = {}
    for image in images:
        folders.setdefault(image.parent, []).append(image)
    named = {
        image: name
        for inside in folders.values()
        for image, name in zip(inside, result_names(inside), strict=True)
    }
    if out_dir is None:
        return [image.with_name(named[image]) for image in images]
    root = place if place.is_dir() else Path(images[0]).parent
    if not place.is_dir():
        while not all(image.is_relative_to(root) for image in images):
            root = root.parent
    return [out_dir / image.parent.relative_to(root) / named[image] for image in images]


# --------------------------------------------------------------------------------------------------- networks


class Network:
    """What predicts, with the names and colours of its classes.

    Args:
        args: The options.

    Raises:
        ConfigError, CheckpointError: The options do not fit together, or there is no such network.
    """

    def __init__(self, args: argparse.Namespace) -> None:
        from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE

        self.segment: Callable[..., Prediction]
        if Path(args.network).suffix in EXPORTED:
            model = self._exported(args)
        else:
            model = self._trained(args)
        if args.palette == "cityscapes" and model.classes != CITYSCAPES_CLASSES:
            raise ConfigError(
                f"--palette cityscapes: the network has {len(model.classes)} classes of its own "
                f"({', '.join(model.classes[:5])}…), expected the 19 of Cityscapes; leave the option out"
            )
        self.palette: Palette = CITYSCAPES_PALETTE if args.palette == "cityscapes" else model.palette

    def _exported(self, args: argparse.Namespace) -> Any:
        from mmseg.apis.exported import ExportedSegmentor

        if args.checkpoint or args.tile:
            raise ConfigError(
                f"{args.network}: an exported network has its weights and its way of predicting in it; leave "
                "CHECKPOINT and --tile out"
            )
        model = ExportedSegmentor(args.network)
        self.segment, self.pipeline = model.segment, model.pipeline
        return model

    def _trained(self, args: argparse.Namespace) -> Any:
        from mmseg.apis import from_pretrained, init_segmentor
        from mmseg.apis.inference import segment, test_pipeline
        from mmseg.checkpoints.model_folder import HUB

        if args.checkpoint:
            model = init_segmentor(args.network, args.checkpoint, args.device)
        elif Path(args.network).is_dir() or args.network.startswith(HUB):
            model = from_pretrained(args.network, args.device)
        else:
            raise ConfigError(
                f"{args.network}: a config needs weights; name the CHECKPOINT that belongs to it"
            )
        tile = tuple(args.tile) if args.tile else None
        self.segment, self.pipeline = partial(segment, model, tile=tile), test_pipeline(model.cfg)
        return model


# ---------------------------------------------------------------------------------------------------- results


def write_results(network: Network, path: Path, args: argparse.Namespace, out: Path) -> list[Path]:
    """Segment one image and write what is asked for.

    Returns:
        The files.
    """
    import numpy as np

    from mmseg.checkpoints.atomic import replacing
    from mmseg.datasets.transforms.loading import LoadImage
    from mmseg.visualization.palette_image import blend, save_palette_png, save_picture

    found = network.segment(path, probabilities="probabilities" in args.save)
    stem = out.stem.removesuffix("_pred")
    written = []
    if "overlay" in args.save:
        image = LoadImage.of(network.pipeline).read(str(path))
        save_picture(out, blend(image, found.classes, network.palette, args.opacity))
        written.append(out)
    if "ids" in args.save:
        written.append(out.with_name(f"{stem}_ids.png"))
        save_palette_png(written[-1], found.classes, network.palette)
    if found.probabilities is not None:
        written.append(out.with_name(f"{stem}_probabilities.npz"))
        with replacing(written[-1], flush=False) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, probabilities=found.probabilities.astype(np.float16))
    return written


def predict_images(network: Network, args: argparse.Namespace) -> int:
    """Segment every image; one that cannot be read does not stop the others.

    Returns:
        0, or 1 if there was one.
    """
    from rich.console import Console
    from rich.progress import track

    images = find_images(args.input)
    outs = result_paths(images, Path(args.input), args.out_dir)
    status = 0
    console = Console(stderr=True)
    pairs = zip(images, outs, strict=True)
    for path, out in track(
        pairs, "predict", len(images), console=console, disable=len(images) < 2, transient=True
    ):
        try:
            print(*write_results(network, path, args, out), sep="\n")
        except (DataError, OSError) as error:  # the other images of a folder are still wanted
            reason = (
                f"{path}: its result cannot be written ({error})" if isinstance(error, OSError) else error
            )
            print(f"error: {reason}", file=sys.stderr)
            status = 1
    return status


def predict_video(network: Network, args: argparse.Namespace) -> None:
    """Segment the frames of a video or camera and write them with the colours of the classes as a video.

    Raises:
        DataError: Nothing can be read, or the result cannot be written.
        ConfigError: Something else than frames with colours is asked for.
    """
    import cv2
    from rich.console import Console
    from rich.progress import track

    from mmseg.checkpoints.atomic import replacing
    from mmseg.visualization.palette_image import blend

    if args.save != ["overlay"]:
        raise ConfigError(
            "--save: a video is written with the colours of the classes over it; leave --save out"
        )
    camera = args.input.startswith(CAMERA)
    number = args.input.removeprefix(CAMERA)
    if camera and not (number.isdecimal() and args.frames):
        raise ConfigError(f"{args.input}: expected camera:NUMBER, as camera:0, and how many --frames to take")
    video = cv2.VideoCapture(int(number) if camera else args.input)
    name = Path(f"camera{number}" if camera else args.input)
    out = (args.out_dir or name.parent) / f"{name.stem}_pred.mp4"
    known = int(video.get(cv2.CAP_PROP_FRAME_COUNT))
    total = min(args.frames or known, known) if known > 0 else args.frames
    frames = read_frames(video, args.frames)
    with replacing(out, flush=False) as temporary:
        target, count = temporary.with_suffix(".mp4"), 0
        writer: cv2.VideoWriter | None = None
        try:
            for frame in track(frames, "predict", total, console=Console(stderr=True), transient=True):
                if writer is None:
                    rate = video.get(cv2.CAP_PROP_FPS) or 25
                    size = frame.shape[1], frame.shape[0]
                    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*"mp4v"), rate, size)
                    if not writer.isOpened():
                        raise DataError(
                            f"{out}: cannot be written as a video; name another folder with --out-dir"
                        )
                classes = network.segment(frame).classes
                drawn = blend(frame[..., ::-1], classes, network.palette, args.opacity)
                writer.write(drawn[..., ::-1])
                count += 1
            if not count:
                raise DataError(f"{args.input}: no frame can be read; expected a video that OpenCV reads")
        finally:
            video.release()
            if writer is not None:
                writer.release()
            if count and target.exists():
                target.replace(temporary)
            target.unlink(missing_ok=True)
    print(f"{out}: {count} frames")


def read_frames(video: Any, most: int | None) -> "Iterator[np.ndarray]":
    """Frames (H, W, 3) uint8 BGR of an opened video."""
    number = 0
    while most is None or number < most:
        read, frame = video.read()
        if not read:
            return
        yield frame
        number += 1


@command
def main(argv: list[str] | None = None) -> int:
    """Segment what is named."""
    args = parse_args(argv)
    if is_video(args.input):
        try:
            predict_video(Network(args), args)
        except OSError as error:
            raise DataError(f"{args.input}: its result cannot be written ({error})") from error
        return 0
    find_images(args.input)  # before the network is loaded
    return predict_images(Network(args), args)
