"""Count where in the image each class lies in the source labels of a config, for CBST's spatial prior.

Writes OUT.npz, the file that labellers take as prior=OUT.npz. What is there already and was made from the
same labels with the same settings is left as it is.

The published prior is a file that cannot be had any more. From the paper: frequencies of the classes by
position, smoothed by a Gaussian of 70 x 70 pixels, on labels of 1024 x 2048. Not published: the standard
deviation in this window, which has an odd width here, the treatment of borders (mirrored here), and the
scale; here every class has the mean 1 over all positions, and one that never occurs is 0 everywhere.
"""

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mmseg.cli import add_cfg_options, command, writing
from mmseg.errors import ConfigError

if TYPE_CHECKING:
    import numpy.typing as npt

    from mmseg.datasets import SegmentationDataset


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config whose source labels are counted")
    parser.add_argument("out", type=Path, help="file to write (.npz)")
    parser.add_argument(
        "--size", nargs=2, type=int, default=(1024, 2048), metavar=("H", "W"),
        help="of the prior; labels are resized to it (default: 1024 2048)",
    )  # fmt: skip
    parser.add_argument(
        "--window", type=int, default=71, help="width of the Gaussian's window in pixels (default: 71)"
    )
    parser.add_argument(
        "--sigma", type=float, default=70 / 6, help="its standard deviation in pixels (default: 70/6)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace a file with other settings")
    parser.add_argument("--nproc", type=int, default=4, help="processes (default: %(default)s)")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def source_sets(cfg: Mapping[str, Any], name: str) -> "list[SegmentationDataset]":
    """The data sets of a config that have source labels.

    Raises:
        ConfigError, DataError: There is none, or labels are missing.
    """
    from mmseg.datasets.domains import domain_configs
    from mmseg.datasets.loaders import data_of
    from mmseg.registry import DATASETS

    training = data_of(cfg, "train_dataloader") or {}
    source = training.get("source", training) or [None]
    sources = (
        source if isinstance(source, list) else [each.dataset for each in domain_configs("source", source)]
    )
    datasets = [DATASETS.build(dict(each)) for each in sources if each]
    if not datasets or not all(dataset.has_labels for dataset in datasets):
        raise ConfigError(f"{name}: names no source data with labels; name the config of a training")
    return datasets


def resized_label(job: tuple[dict[str, Any], tuple[int, int]]) -> "npt.NDArray":
    """Classes (h, w) of a label file, at the size of the prior."""
    import cv2

    from mmseg.datasets.transforms.loading import LoadLabel

    description, (height, width) = job
    label = LoadLabel().read(description)[1]
    return cv2.resize(label, (width, height), interpolation=cv2.INTER_NEAREST)


@command
def main(argv: list[str] | None = None) -> None:
    """Write the file, unless it is there."""
    args = parse_args(argv)
    if args.out.suffix != ".npz":
        raise ConfigError(f"{args.out}: expected a file name that ends with .npz")
    if args.window < 1 or args.window % 2 == 0 or args.sigma <= 0 or min(args.size) < 1:
        raise ConfigError(
            f"--size {args.size[0]} {args.size[1]} --window {args.window} --sigma {args.sigma}; expected "
            "positive numbers, and an odd width of the window, which has a pixel at its centre"
        )
    import mmseg.datasets  # noqa: F401  (fill the registry)
    from mmseg.config.load import load_config

    datasets = source_sets(load_config(args.config, args.cfg_options), args.config)
    settings = {
        "classes": list(datasets[0].classes),
        "labels": [[str(dataset.ann_dir), len(dataset)] for dataset in datasets],
        "size": list(args.size),
        "window": args.window,
        "sigma": args.sigma,
    }
    if any(dataset.classes != datasets[0].classes for dataset in datasets):
        raise ConfigError(f"{args.config}: its source data sets have different classes; expected one list")
    if args.out.exists() and not args.overwrite:
        _check_settings(args.out, settings)
        print(f"{args.out}: is there already, made from the same labels with the same settings")
        return
    from rich.progress import track

    from mmseg.datasets.parallel import map_in_processes
    from mmseg.labelling.spatial_prior import SpatialPrior

    size = (args.size[0], args.size[1])
    jobs = [(dataset.describe(sample), size) for dataset in datasets for sample in dataset.samples]
    labels = track(map_in_processes(resized_label, jobs, args.nproc), "labels", total=len(jobs))
    prior = SpatialPrior.of_labels(labels, len(datasets[0].classes), size, args.window, args.sigma)
    with writing(str(args.out), "OUT"):
        prior.write(args.out, json.dumps(settings))
    seen = prior.values.flatten(1).any(dim=1).tolist()
    absent = [name for name, found in zip(datasets[0].classes, seen, strict=True) if not found]
    print(
        f"{args.out}: prior of {len(datasets[0].classes)} classes from {len(jobs)} labels, up to "
        f"{prior.largest:.1f}; never seen: {', '.join(absent) or 'none'}"
    )


def _check_settings(path: Path, settings: dict[str, Any]) -> None:
    from mmseg.labelling.spatial_prior import SpatialPrior

    found = SpatialPrior.settings_of(path)
    if found != settings:
        differing = {key: (found.get(key), now) for key, now in settings.items() if found.get(key) != now}
        raise ConfigError(
            f"{path}: was made from other labels or with other settings, (there, now): {differing}; name "
            "another file, or replace it with --overwrite"
        )
