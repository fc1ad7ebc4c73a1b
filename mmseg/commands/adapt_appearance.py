"""Write the images of one folder in the style of those of another (FCAN's appearance adaptation network).

Every image below SOURCE is made again, under the same name, below OUT, which a training then reads as
img_dir; labels stay where they are. What is there already is not made again, so a run that was interrupted
goes on when it is started again; --part 1/4, --part 2/4, ... share the images between processes.
"""

import argparse
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg.checkpoints.atomic import claim, replacing
from mmseg.cli import command, writing
from mmseg.commands.image_folders import (
    check_outside,
    check_settings,
    contents,
    images_below,
    part_option,
    size_option,
)

if TYPE_CHECKING:
    from torch import Tensor

    from mmseg.models.translation import AppearanceAdaptation

SETTINGS, GRAMS = "appearance.json", "appearance_grams.pt"


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("source", type=Path, help="folder of images, with folders in it")
    parser.add_argument("target", type=Path, help="folder of images that give the style")
    parser.add_argument("out", type=Path, help="folder that gets the images")
    parser.add_argument(
        "--pretrained", default="timm", metavar="FILE",
        help="ImageNet weights of the network (default: those that timm downloads)",
    )  # fmt: skip
    parser.add_argument("--network", default="resnet50", help="timm's name (default: %(default)s)")
    parser.add_argument(
        "--size", type=size_option, default="1024x512", metavar="WxH",
        help="size at which both are compared; results have the size of their source (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--iterations", type=int, default=1000, help="of each image (default: %(default)s)")
    parser.add_argument(
        "--alpha", type=float, default=1e-14, help="weight of the style (default: %(default)s)"
    )
    parser.add_argument("--rate", type=float, default=10.0, help="first step (default: %(default)s)")
    parser.add_argument(
        "--gradient-norm", choices=("mean", "sum"), default="mean",
        help="what steps are measured in; the paper says sum (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the white noise (default: %(default)s)")
    parser.add_argument(
        "--part", type=part_option, default="1/1", metavar="I/N",
        help="every N-th image alone",
    )  # fmt: skip
    parser.add_argument("--device", help="cpu, cuda:0, …; default: a GPU when there is one")
    return parser.parse_args(argv)


def read(path: Path, size: tuple[int, int] | None, device: str) -> "Tensor":
    """(1, 3, H, W) float RGB of an image file, resized to (W, H)."""
    import torch

    from mmseg.datasets.decoding import read_image
    from mmseg.models.layers.resize import resize

    image = torch.from_numpy(read_image(str(path))).to(device).permute(2, 0, 1).unsqueeze(0).float()
    return image if size is None else resize(image, size[::-1])


def mean_grams(
    network: "AppearanceAdaptation",
    root: Path,
    images: list[Path],
    size: tuple[int, int],
    device: str,
    file: Path,
) -> "list[Tensor]":
    """Mean Gram matrices of images below ``root``; kept in a file, so that they are made once."""
    import torch
    from rich.progress import track

    from mmseg.checkpoints.weights import read_checkpoint

    with claim(file.with_suffix(".lock"), wait=True):  # other parts wait for the one that comes first
        if not file.exists():
            sums: list[torch.Tensor] = []
            for path in track(images, "target"):
                grams = [level[0].double() for level in network.grams(read(root / path, size, device))]
                sums = [a + b for a, b in zip(sums, grams, strict=True)] if sums else grams
            means = {str(number): (total / len(images)).float().cpu() for number, total in enumerate(sums)}
            with replacing(file) as temporary:
                torch.save(means, temporary)
    return [gram.to(device) for gram in read_checkpoint(file).values()]


def noise_of(path: Path, seed: int, shape: "tuple[int, ...]") -> "Tensor":
    """White noise from 0 to 255, a function of the seed and the name of an image alone."""
    import torch

    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {path.as_posix()}".encode()))
    return 255 * torch.rand(shape, generator=generator)


@command
def main(argv: list[str] | None = None) -> None:
    """Make every image that is not there yet."""
    import numpy as np
    from mmengine.device import get_device
    from rich.progress import track

    from mmseg.checkpoints.weights import load_pretrained_backbone
    from mmseg.models.backbones import TimmBackbone
    from mmseg.models.layers.resize import resize
    from mmseg.models.translation import AppearanceAdaptation
    from mmseg.models.translation.style import LEVELS
    from mmseg.visualization.palette_image import save_picture

    args = parse_args(argv)
    check_outside(args.out, SOURCE=args.source, TARGET=args.target)
    images, targets = images_below(args.source), images_below(args.target)
    names = ("network", "pretrained", "size", "iterations", "alpha", "rate", "gradient_norm", "seed")
    settings = {name: getattr(args, name) for name in names} | dict(target=str(args.target))
    settings |= dict(size=list(args.size), target_images=contents(args.target, targets))
    encoder = TimmBackbone(args.network, out_indices=LEVELS)
    load_pretrained_backbone(encoder, args.pretrained)
    device = args.device or get_device()
    optimised = dict(alpha=args.alpha, rate=args.rate, iterations=args.iterations)
    network = AppearanceAdaptation(encoder, **optimised, gradient_norm=args.gradient_norm).to(device)
    check_settings(args.out / SETTINGS, settings)
    grams = mean_grams(network, args.target, targets, args.size, device, args.out / GRAMS)
    part, parts = args.part
    count = 0
    for path in track(images[part - 1 :: parts], "images"):
        if (args.out / path).exists():
            continue
        whole = read(args.source / path, None, "cpu")
        source = resize(whole, args.size[::-1]).to(device)
        made = network.adapt(source, grams, noise_of(path, args.seed, source.shape).to(device))
        made = resize(made, whole.shape[2:]).round().clamp(0, 255)[0].permute(1, 2, 0)
        with writing(str(args.out), "OUT"):
            save_picture(args.out / path, made.cpu().numpy().astype(np.uint8))
        count += 1
    print(f"{args.out}: {count} images made, {len(images)} in {args.source}")
