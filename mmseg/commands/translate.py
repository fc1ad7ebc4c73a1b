"""Write the images of a source in the look of the target, by the generator of a run.

Every image of the source is made again under the same name below OUT, which a training then reads as img_dir;
labels stay where they are. What is there already is not made again, so a run that was interrupted goes on
when it is started again; --part 1/4, --part 2/4, ... share the images between processes. OUT says in a file
how its images were made, and takes no others. Without CKPT the translator of the config is used
(uda.translator), as FDA, which takes for each image a target image as example.
"""

import argparse
from pathlib import Path

from mmseg.cli import add_cfg_options, command, writing
from mmseg.commands.image_folders import check_outside, check_settings, part_option, size_option

MANIFEST = "translation.json"


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("config", help="config of the run")
    parser.add_argument("checkpoint", nargs="?", help="of a run that trains generators")
    parser.add_argument("--out", type=Path, required=True, help="folder that gets the images")
    parser.add_argument("--source", metavar="NAME", help="which source, where the config has several")
    parser.add_argument(
        "--back", action="store_true", help="the target's images in the look of the source instead"
    )
    parser.add_argument(
        "--size", type=size_option, metavar="WxH",
        help="size at which the generator sees an image; results have the size of their source",
    )  # fmt: skip
    parser.add_argument(
        "--dropout", action=argparse.BooleanOptionalAction, default=True,
        help="leave values out as in the training of a generator with dropout (default: as published, yes)",
    )  # fmt: skip
    parser.add_argument(
        "--part", type=part_option, default="1/1", metavar="I/N",
        help="every N-th image alone",
    )  # fmt: skip
    parser.add_argument(
        "--pictures", type=int, default=4, metavar="N",
        help="images that are drawn beside OUT (default: %(default)s)",
    )  # fmt: skip
    parser.add_argument("--device", help="cpu, cuda:0, …; default: a GPU when there is one")
    add_cfg_options(parser)
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Make every image that is not there yet, and draw a few of them."""
    args = parse_args(argv)
    from rich.progress import track

    from mmseg.apis.translation import Translation
    from mmseg.config.load import load_config
    from mmseg.visualization.palette_image import save_picture

    cfg = load_config(args.config, args.cfg_options)
    translation = Translation(
        cfg, args.checkpoint, args.source, args.back, args.size, args.dropout, args.device
    )
    check_outside(args.out, SOURCE=translation.root)
    part, parts = args.part
    names, count = translation.names, 0
    with writing(str(args.out)):
        check_settings(args.out / MANIFEST, translation.settings)
        for index in track(range(part - 1, len(names), parts), "images"):
            if not (args.out / names[index]).exists():
                save_picture(args.out / names[index], translation.translated(index))
                count += 1
        picture = args.out.with_name(f"{args.out.name}_pictures.png")
        if args.pictures > 0 and part == 1:
            translation.draw(picture, args.pictures)
    print(f"{args.out}: {count} images made, {len(names)} in {translation.root}; labels stay where they are")
