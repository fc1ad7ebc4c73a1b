"""Decode and resize the training data once.

Training then maps the pixels into memory instead of decoding images, which are the same to the last bit. A
second call goes on where the first was interrupted, and brings up to date what has changed. At the end it
prints the settings that make training use the result.
"""

import argparse
from pathlib import Path

from mmengine.config import Config

from mmseg.cli import add_cfg_options, command
from mmseg.config.load import load_config
from mmseg.datasets import SegmentationDataset
from mmseg.datasets.domains import domains_of
from mmseg.datasets.prepared.write import check_pipeline, check_space, gigabytes, plan_preparation, prepare
from mmseg.errors import ConfigError
from mmseg.registry import DATASETS, check_part


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("config", help="config file of a run")
    parser.add_argument(
        "--out", default="data/prepared", metavar="DIR",
        help="where a folder for each data set is written, unless the config names it (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--nproc", type=int, default=4, metavar="N", help="processes (default: %(default)s)")
    parser.add_argument(
        "--check", type=int, default=16, metavar="N",
        help="samples of each data set that are compared with their files at the end (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--dry-run", action="store_true", help="only print the space that is needed")
    add_cfg_options(parser)
    return parser.parse_args(argv)


def training_sets(cfg: Config) -> dict[str, dict]:
    """The data sets that training reads, by their place in the config."""
    place = "train_dataloader.dataset"
    dataset = (cfg.get("train_dataloader") or {}).get("dataset")
    if not dataset:
        raise ConfigError(f"{cfg.filename}: {place} is missing; name the config of a run")
    check_part(dataset, DATASETS, place)
    domains = {f"{place}.{domain.place}": domain.dataset for domain in domains_of(dataset)}
    for name, images in domains.items():
        check_part(images, DATASETS, name)
    return domains or {place: dataset}


def folder_name(dataset: SegmentationDataset) -> str:
    """Data set and size, such as ``gta_1280x704``."""
    height, width = dataset.load(0)["img_shape"]
    unlabelled = "" if dataset.has_labels else "_unlabelled"
    return f"{dataset.root.resolve().name}_{width}x{height}{unlabelled}"


@command
def main(argv: list[str] | None = None) -> None:
    """Prepare every training set of the config."""
    args = parse_args(argv)
    if args.nproc < 1 or args.check < 1:
        raise ConfigError(f"--nproc {args.nproc} --check {args.check}: expected numbers from 1 on")
    datasets, plans, settings = {}, {}, []
    for place, dataset_cfg in training_sets(load_config(args.config, args.cfg_options)).items():
        dataset = DATASETS.build({**dataset_cfg, "prepared": None})
        check_pipeline(dataset)
        folder = Path(dataset_cfg.get("prepared") or Path(args.out, folder_name(dataset)))
        if folder in plans:
            raise ConfigError(
                f"{args.config}: two data sets name prepared={folder}; give each its own folder"
            )
        datasets[folder], plans[folder] = dataset, plan_preparation(dataset, folder)
        print(
            f"{folder}: {len(plans[folder].todo)} of {len(dataset)} images to prepare, "
            f"{gigabytes(plans[folder].needed)} needed, {gigabytes(plans[folder].free)} free"
        )
        settings.append(f"{place}.prepared={folder}")
    if args.dry_run:
        return
    check_space(plans)
    for folder, plan in plans.items():
        prepare(datasets[folder], folder, plan, args.nproc, args.check)
    print("Settings that use it:\n  --cfg-options " + " ".join(settings))
