"""Make a checkpoint fit to be passed on: ``python tools/publish_model.py iter_40000.pth daformer.pth``.

Only the student's weights and the names of its classes stay: no optimizer, teacher, ImageNet branch, logging
history or paths. The first 8 hexadecimal digits of the file's SHA-256 become a part of its name.

With ``--config CONFIG``, OUT is a folder that holds the network with its config and a model card: predict,
test, export and ``mmseg.apis.from_pretrained`` take it as it is, and ``--push OWNER/NAME`` uploads it.
"""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from mmseg.checkpoints.export import check_out, encode_weights, extract_network, write_weights
from mmseg.cli import command
from mmseg.errors import ConfigError
from mmseg.models.backbones.timm_backbone import todays_name


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("checkpoint", help="file to read")
    parser.add_argument(
        "out", type=Path, help="file to write, as NAME.pth or NAME.safetensors; with --config a folder"
    )
    parser.add_argument("--config", help="config of the network, for a folder that holds it, too")
    parser.add_argument(
        "--scores", type=Path, metavar="FILE",
        help="results.json of a test, for the model card (default: test/results.json beside the checkpoint)",
    )  # fmt: skip
    parser.add_argument("--push", metavar="OWNER/NAME", help="upload the folder to the Hugging Face hub")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Write what the options say."""
    args = parse_args(argv)
    if args.config:
        return publish_folder(args)
    if args.push or args.scores:
        raise ConfigError(
            "--push and --scores are for a folder with the network's config; add --config CONFIG"
        )
    check_out(args.out, args.checkpoint)
    content = encode_weights(extract_network(args.checkpoint, rename=todays_name), args.out.suffix)
    digits = hashlib.sha256(content).hexdigest()[:8]
    published = args.out.with_name(f"{args.out.stem}-{digits}{args.out.suffix}")
    check_out(published, args.checkpoint)
    write_weights(published, content)
    print(published)


def publish_folder(args: argparse.Namespace) -> None:
    """Write the network with its config."""
    from mmseg.apis import init_segmentor, push_to_hub, save_pretrained

    model = init_segmentor(args.config, args.checkpoint, "cpu")
    print(save_pretrained(model, args.out, scores_of(args)))
    if args.push:
        print(push_to_hub(args.out, args.push))


def scores_of(args: argparse.Namespace) -> dict[str, float]:
    """What a test gave; empty where none is there.

    Raises:
        ConfigError: The file that is named cannot be read.
    """
    path = args.scores or Path(args.checkpoint).parent / "test" / "results.json"
    if not args.scores and not path.is_file():
        return {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {key: float(value) for key, value in content.items() if isinstance(value, int | float)}
    except (OSError, ValueError, AttributeError) as error:
        raise ConfigError(
            f"{path}: no scores can be read ({error}); expected results.json of a test"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
