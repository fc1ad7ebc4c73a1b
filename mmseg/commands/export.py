"""Write a trained network as a file that runs without this framework.

The file takes RGB images (B, 3, H, W) of uint8, scaled as for tests, and gives class ids (B, H, W);
normalisation is inside. Its predictions are compared with those of the network before it gets its name.
"""

import argparse
import sys
from pathlib import Path

from mmseg.cli import add_cfg_options, command
from mmseg.config.load import load_config

COMPARED = 8
"""Images of the test set that predictions are compared on, where none are named."""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config of the network")
    parser.add_argument("checkpoint", help="its weights")
    parser.add_argument(
        "--format", choices=["onnx", "pt2"], default="onnx", help="ONNX, or a program of torch.export"
    )
    parser.add_argument("--out", type=Path, help="file to write (default: beside the checkpoint)")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"),
        help="of all images, after scaling; needed for sliding windows and HRDA (default: any size)",
    )  # fmt: skip
    parser.add_argument(
        "--probabilities", action="store_true", help="give the probability of every class, too"
    )
    parser.add_argument(
        "--images", nargs="+", default=[], metavar="PATH",
        help="images to compare on (default: the first of the test set where it is there, or random numbers)",
    )  # fmt: skip
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Export as the options say."""
    from mmseg.apis import init_segmentor
    from mmseg.apis.export import export, require_onnx

    args = parse_args(argv)
    if args.format == "onnx":
        require_onnx()
    cfg = load_config(args.config, args.cfg_options)
    model = init_segmentor(cfg, args.checkpoint, "cpu")
    out = args.out or Path(args.checkpoint).with_suffix(f".{args.format}")
    parity = export(model, out, args.size, args.probabilities, args.images or test_images(cfg))
    print(f"{out}: {out.stat().st_size / 1e6:.1f} MB; {parity}")


def test_images(cfg) -> list[str]:
    """The first images that a config is tested on; none where the data is not there."""
    from mmseg.apis.testing import with_test_data
    from mmseg.datasets.several_test_sets import test_sets_of
    from mmseg.errors import MMSegError
    from mmseg.registry import DATASETS

    try:
        first = next(iter(test_sets_of(with_test_data(cfg).test_dataloader.dataset).values()))
        dataset = DATASETS.build({**first, "load_labels": False})
    except MMSegError:
        return []
    return [sample.img_path for sample in dataset.samples[:COMPARED]]


if __name__ == "__main__":
    sys.exit(main())
