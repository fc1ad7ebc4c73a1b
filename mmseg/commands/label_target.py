"""Label images with a trained network: the pixels that a labeller trusts get classes, the others 255.

Writes a folder of label PNGs with a summary (thresholds, pixels of each class) and a picture. The images
need no labels: those of the target in the config, or your own with --images.
"""

import argparse
from pathlib import Path

from mmseg.cli import add_cfg_options, command, printing, writing
from mmseg.errors import ConfigError


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("config", help="config of the network")
    parser.add_argument("checkpoint", help="its weights")
    parser.add_argument(
        "--labeller", metavar="TYPE",
        help="ClassBalanced, ClassQuantile, GlobalThreshold, SoftClassBalanced, EntropyRanking, EasyHard, "
        "Voting or one of your own (default: that of rounds in the config)",
    )  # fmt: skip
    parser.add_argument(
        "--labeller-options", nargs="+", default=[], metavar="KEY=VALUE", help="its arguments: portion=0.3"
    )
    parser.add_argument("--out", help="folder to write (default: labels/ beside the checkpoint)")
    parser.add_argument(
        "--images", metavar="DIR", help="folder of images (default: the target images of the config)"
    )
    parser.add_argument("--round", type=int, default=0, help="for settings of each round (default: 0)")
    parser.add_argument("--scales", nargs="+", type=float, help="predict the image at these sizes")
    parser.add_argument(
        "--flip", action=argparse.BooleanOptionalAction, help="predict the mirrored image too (default: yes)"
    )
    parser.add_argument(
        "--average", choices=["probabilities", "logits"], help="what the mean is taken of (probabilities)"
    )
    parser.add_argument("--pictures", type=int, default=4, help="images that are drawn (default: 4)")
    parser.add_argument("--previous", metavar="DIR", help="earlier labels: the picture shows what is new")
    parser.add_argument("--device", help="cpu, cuda:0, …; default: a GPU when there is one")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def labeller_of(name: str | None, options: list[str]) -> dict | None:
    """Config of the labeller that the options describe, or None for that of the config.

    Raises:
        ConfigError: Arguments without a labeller, or one without a value.
    """
    from mmseg.config.options import value_of

    if name is None:
        if options:
            raise ConfigError("--labeller-options: whose? Name the labeller with --labeller")
        return None
    pairs = [option.partition("=") for option in options]
    if wrong := [key for key, equals, _ in pairs if not (key and equals)]:
        raise ConfigError(f"--labeller-options {wrong[0]}: expected KEY=VALUE")
    return dict(type=name, **{key: value_of(key, text) for key, _, text in pairs})


@command
def main(argv: list[str] | None = None) -> None:
    """Label the images, and print what each class got."""
    args = parse_args(argv)
    labeller = labeller_of(args.labeller, args.labeller_options)
    from rich.console import Console
    from rich.table import Table

    from mmseg.apis.labelling import label_target
    from mmseg.config.load import load_config

    cfg = load_config(args.config, args.cfg_options)
    given = {key: getattr(args, key) for key in ("scales", "flip", "average")}
    out = args.out or str(Path(args.checkpoint).parent / "labels")
    with writing(out):
        labels = label_target(
            cfg, args.checkpoint, labeller, out, args.images, args.round, args.pictures, args.previous,
            args.device, **{key: value for key, value in given.items() if value is not None},
        )  # fmt: skip
    summary = labels.summary
    table = Table("class", *(["threshold"] if labels.thresholds else []), "pixels", "share")
    for index, name in enumerate(labels.classes):
        threshold = [f"{labels.thresholds[index]:.4f}"] if labels.thresholds else []
        share = f"{summary['class_shares'][index]:.2%}"
        table.add_row(name, *threshold, str(summary["pixels"][index]), share)
    with printing():
        Console(width=100).print(table)
        for name, images in labels.splits.items():
            print(f"{name}: {len(images)} images")
        print(
            f"{labels.folder}: {summary['labelled_share']:.1%} of the pixels of {summary['labelled_images']} "
            f"of {summary['images']} images are labelled"
        )
