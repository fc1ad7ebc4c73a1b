"""Segment your own images.

IMG is an image or a folder of images; each result is written as ``<name>_pred<ext>`` (``.png`` for formats
that cannot be written) beside the image, or to ``--out-dir``, and its path is printed. Where two images would
be written to one file, the name of the second keeps its suffix: ``<name><ext>_pred.png``.
"""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg.cli import command
from mmseg.errors import ConfigError, DataError

if TYPE_CHECKING:
    from mmseg.models.segmentors import EncoderDecoder
    from mmseg.visualization.palette_image import Palette


def find_images(path: Path) -> list[Path]:
    """The image itself, or all images in a folder (without earlier results and hidden files)."""
    from mmseg.datasets.files import IMAGE_ENDINGS

    if path.is_file():
        return [path]
    images = sorted(
        p for p in path.glob("[!.]*") if p.suffix.lower() in IMAGE_ENDINGS and not p.stem.endswith("_pred")
    )
    if not images:
        raise DataError(f"{path}: neither an image nor a folder with images ({', '.join(IMAGE_ENDINGS)})")
    return images


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("img", type=Path, help="image or folder")
    parser.add_argument("config", help="config of the network")
    parser.add_argument("checkpoint", help="its weights")
    parser.add_argument("--device", help="cpu, cuda:0, …; default: a GPU when there is one")
    parser.add_argument(
        "--palette", choices=["checkpoint", "cityscapes"], default="checkpoint", help="colours of the classes"
    )
    parser.add_argument("--opacity", type=float, default=0.5, help="1 hides the image, 0 the prediction")
    parser.add_argument("--out-dir", type=Path, help="where to write (default: beside each image)")
    return parser.parse_args(argv)


def result_names(images: list[Path]) -> list[str]:
    """File names of the results, each another one, also where capital letters do not count.

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


def write_prediction(
    model: "EncoderDecoder", path: Path, palette: "Palette", opacity: float, out: Path
) -> Path:
    """Segment one image and write the colours of its classes over it."""
    from mmseg.apis import inference_segmentor
    from mmseg.apis.inference import test_pipeline
    from mmseg.datasets.transforms.loading import LoadImage
    from mmseg.visualization.palette_image import blend, save_picture

    image = LoadImage.of(test_pipeline(model.cfg)).read(str(path))
    label = inference_segmentor(model, path)[0]
    save_picture(out, blend(image, label, palette, opacity))
    return out


@command
def main(argv: list[str] | None = None) -> int:
    """Segment every image; one that cannot be read does not stop the others."""
    from mmseg.apis import init_segmentor
    from mmseg.datasets.classes import CITYSCAPES_CLASSES, CITYSCAPES_PALETTE

    args = parse_args(argv)
    images = find_images(args.img)
    model = init_segmentor(args.config, args.checkpoint, args.device)
    if args.palette == "cityscapes" and model.classes != CITYSCAPES_CLASSES:
        raise ConfigError(
            f"--palette cityscapes: the network has {len(model.classes)} classes of its own "
            f"({', '.join(model.classes[:5])}…), expected the 19 of Cityscapes; leave the option out"
        )
    palette = CITYSCAPES_PALETTE if args.palette == "cityscapes" else model.palette
    status = 0
    for path, name in zip(images, result_names(images), strict=True):
        try:
            out = (args.out_dir or path.parent) / name
            print(write_prediction(model, path, palette, args.opacity, out))
        except (DataError, OSError) as error:  # the other images of a folder are still wanted
            reason = (
                f"{path}: its result cannot be written ({error})" if isinstance(error, OSError) else error
            )
            print(f"error: {reason}", file=sys.stderr)
            status = 1
    return status
