"""Train one config."""

import argparse
import sys

from mmseg.cli import add_cfg_options, command
from mmseg.config.load import load_config
from mmseg.config.tracking import TRACKERS, track


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("config", help="config file")
    parser.add_argument(
        "--work-dir", help="where to write logs and checkpoints (default: work_dirs/<config name>)"
    )
    parser.add_argument("--load-from", help="checkpoint to start from; its weights go into the student")
    parser.add_argument(
        "--new-classifier", action="store_true",
        help="leave the classifier of --load-from out, to go on with other classes",
    )  # fmt: skip
    parser.add_argument(
        "--remap-classes", action="store_true",
        help="give the network the order of the data's classes where --load-from has another one",
    )  # fmt: skip
    parser.add_argument("--resume-from", help="checkpoint of an interrupted run to continue")
    parser.add_argument(
        "--resume", action="store_true", help="continue from the newest checkpoint in the work dir"
    )
    parser.add_argument("--no-validate", action="store_true", help="do not evaluate during training")
    parser.add_argument("--seed", type=int, help="random seed (default: as in the config)")
    parser.add_argument(
        "--deterministic", action="store_true", help="use deterministic kernels where they exist"
    )
    parser.add_argument(
        "--amp", choices=["bf16", "fp16"], help="forward passes in this precision (fp16: with loss scaling)"
    )
    parser.add_argument(
        "--tf32", action=argparse.BooleanOptionalAction, default=None,
        help="on a GPU, products and convolutions of float32 numbers in TF32 (default: convolutions only)",
    )  # fmt: skip
    parser.add_argument(
        "--track", nargs="+", choices=TRACKERS, default=[],
        help="send numbers and pictures there, too (TensorBoard files are written anyway)",
    )  # fmt: skip
    parser.add_argument("--launcher", choices=["none", "pytorch", "slurm", "mpi"], default="none")
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Train the config as the options say."""
    from mmseg.apis import train

    args = parse_args(argv)
    cfg = load_config(args.config, args.cfg_options)
    if args.work_dir:
        cfg.work_dir = args.work_dir
    if args.load_from:
        cfg.load_from = args.load_from
    if args.new_classifier:
        cfg.new_classifier = True
    if args.remap_classes:
        cfg.remap_classes = True
    if args.resume or args.resume_from:
        for name in ("remap_classes", "new_classifier"):
            if getattr(args, name):
                print(
                    f"warning: --{name.replace('_', '-')} has no effect on a run that is resumed",
                    file=sys.stderr,
                )
        cfg.resume = True
        cfg.load_from = args.resume_from
    if args.no_validate:
        cfg.val_dataloader = cfg.val_cfg = cfg.val_evaluator = None
    if args.seed is not None:
        cfg.randomness = dict(cfg.get("randomness", {}), seed=args.seed)
    if args.deterministic:
        cfg.randomness = dict(cfg.get("randomness", {}), deterministic=True)
    if args.amp:
        cfg.merge_from_dict({"optim_wrapper.precision": args.amp})
    if args.tf32 is not None:
        cfg.merge_from_dict({"env_cfg.tf32": args.tf32})
    cfg.launcher = args.launcher
    track(cfg, args.track)
    train(cfg)


if __name__ == "__main__":
    sys.exit(main())
