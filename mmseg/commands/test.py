"""Test a checkpoint."""

import argparse
import sys
from dataclasses import fields

from mmseg.cli import add_cfg_options, command
from mmseg.config.load import load_config
from mmseg.config.work_dir import work_dir_of_test
from mmseg.errors import ConfigError
from mmseg.legacy.options import todays_test_options


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    from mmseg.evaluation.metrics import MEAN_SCORES, NOT_IN_SUBSET
    from mmseg.evaluation.server_formats import SERVER_FORMATS

    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("config", help="config file")
    parser.add_argument("checkpoint", help="weights to test")
    parser.add_argument(
        "--work-dir", help="where to write results.json (default: test/ beside the checkpoint)"
    )
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    add_cfg_options(parser)

    scores = parser.add_argument_group("scores")
    scores.add_argument(
        "--eval", dest="scores", nargs="+", choices=MEAN_SCORES,
        help="what IoUMetric shows (default: as in the config); other metrics of the config are shown anyway",
    )  # fmt: skip
    scores.add_argument(
        "--class-subsets", nargs="+", choices=NOT_IN_SUBSET,
        help="also the mean IoU of the 16 or 13 classes of Synthia (default: where Synthia is the source)",
    )  # fmt: skip
    scores.add_argument("--calibration", action="store_true", help="expected calibration error, 15 bins")
    scores.add_argument("--confusion-matrix", metavar="DIR", help="folder for it as picture and CSV")
    scores.add_argument("--out", metavar="FILE", help="FILE.json: scores; FILE.npz: predictions")

    network = parser.add_argument_group("network")
    network.add_argument("--which", choices=["student", "teacher"], default="student", help="weights to test")
    network.add_argument(
        "--inference-mode", choices=["same", "whole", "slide"], default="same",
        help="whole image or sliding windows; same: as in the config",
    )  # fmt: skip
    network.add_argument(
        "--aug-test", action="store_true", help="mean over the scales 0.5 to 1.75, each also mirrored"
    )
    network.add_argument("--aug-scales", nargs="+", type=float, metavar="S", help="other scales for it")
    network.add_argument(
        "--aug-average", dest="augment_average", choices=["probabilities", "logits"], default="probabilities",
        help="what is averaged over them (default: probabilities)",
    )  # fmt: skip
    network.add_argument(
        "--hrda-out", choices=["LR", "HR", "ATT"],
        help="predict from the context (LR) or the detail (HR) alone, or write the attention (ATT)",
    )  # fmt: skip

    network.add_argument(
        "--remap-classes", action="store_true",
        help="give the network the order of the data's classes where the checkpoint has another one",
    )  # fmt: skip

    network.add_argument(
        "--ensemble", nargs="+", default=(), metavar="CHECKPOINT",
        help="more weights for the network of the config; all of them predict together",
    )  # fmt: skip
    network.add_argument(
        "--ensemble-average", choices=("logits", "probabilities"), default="logits",
        help="what is averaged over them (default: %(default)s; FDA: probabilities)",
    )  # fmt: skip
    network.add_argument(
        "--norm-images", nargs="+", default=(), metavar="PATH",
        help="files or folders of target images without labels; batch norms take their statistics (AdaBN)",
    )  # fmt: skip

    data = parser.add_argument_group("predictions")
    data.add_argument("--show-dir", help="folder for predictions, one PNG per image")
    data.add_argument(
        "--opacity", type=float, default=0.5, help="1: indexed PNG of train ids; less: colours over the image"
    )
    data.add_argument("--test-set", action="store_true", help="the split test instead of val")
    data.add_argument(
        "--format-only", action="store_true", help="files for an evaluation server instead of scores"
    )
    data.add_argument(
        "--format",
        choices=SERVER_FORMATS,
        help="cityscapes: label ids; trainids: train ids (default for ACDC and Dark Zurich)",
    )
    data.add_argument("--format-dir", metavar="DIR", help="folder of these files; the zip file is beside it")
    return parser.parse_args(todays_test_options(argv))


def submission(args: argparse.Namespace, dataset: str) -> dict[str, str | None]:
    """Format and folder of the files for the server of a data set.

    Raises:
        ConfigError: Options for these files without ``--format-only``.
    """
    from mmseg.registry import DATASETS

    if not args.format_only:
        if args.format or args.format_dir:
            raise ConfigError(
                "--format and --format-dir (published: --eval-options) go with --format-only; add it"
            )
        return {}
    of_dataset = getattr(DATASETS.get(dataset), "server_format", "cityscapes")
    return dict(submission=args.format or of_dataset, submission_dir=args.format_dir)


@command
def main(argv: list[str] | None = None) -> None:
    """Test as the options say."""
    from mmseg.apis import test
    from mmseg.apis.evaluation_options import PUBLISHED_SCALES, EvaluationOptions
    from mmseg.apis.testing import with_test_data

    args = parse_args(argv)
    cfg = with_test_data(load_config(args.config, args.cfg_options))
    variants = (args.hrda_out, args.which if args.which != "student" else None)
    cfg.work_dir = args.work_dir or str(work_dir_of_test(args.checkpoint, variants))
    cfg.launcher = args.launcher
    names = {field.name for field in fields(EvaluationOptions)}
    options = {name: value for name, value in vars(args).items() if name in names}
    options["augment"] = args.aug_scales or (PUBLISHED_SCALES if args.aug_test else ())
    test(cfg, args.checkpoint, **options, **submission(args, cfg.test_dataloader.dataset.type))


if __name__ == "__main__":
    sys.exit(main())
