"""Look at a folder of images and labels, and write a data set config for it.

Folders, suffixes, label values and classes are guessed from the files and written with comments; check them,
name the classes, then run verify_dataset on the config.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from mmseg.cli import command, writing
from mmseg.errors import ConfigError, DataError

HEADER = """# {root}, as found by describe_dataset; check each guess, then run
# python tools/verify_dataset.py {out} --write-statistics
"""
PIPELINES = """# box: (width, height) that images are scaled into; crop: (height, width)
box, crop = {box}, {crop}
train_pipeline = [
    {load_image},
    dict(type="LoadLabel"),
    dict(type="Resize", scale=box),
    dict(type="RandomCrop", crop_size=crop, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="Pad", size=crop),
    dict(type="PackInputs"),
]
test_pipeline = [
    {load_image},
    dict(type="Resize", scale=box),
    dict(type="LoadLabel"),  # behind Resize: scores are computed at the size of the label
    dict(type="PackInputs"),
]
"""


def parse_args(argv: list[str] | None) -> argparse.Namespace:
    """The options."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument(
        "--out", type=Path, help="config to write (default: configs/own/<name of the folder>.py)"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the config if there is one")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Guess, write the config and say what was found."""
    from mmseg.datasets.describe import describe

    args = parse_args(argv)
    out = args.out or Path("configs", "own", f"{args.root.resolve().name}.py")
    if out.exists() and not args.overwrite:
        raise ConfigError(f"--out {out}: exists; name another file, or replace it with --overwrite")
    pairs = describe(args.root)
    for pair in pairs:
        images, labels = (f"{kind.folder or '.'}/*{kind.suffix}" for kind in (pair.images, pair.labels))
        unlabelled = len(pair.images.names) - len(pair.names)
        rest = f", {unlabelled} images without label" if unlabelled else ""
        print(f"{len(pair.names)} pairs: {images} with {labels}{rest}")
        for remark in pair.remarks:
            print(f"warning: {remark}", file=sys.stderr)
    with writing(str(out)):
        out.parent.mkdir(parents=True, exist_ok=True)
        for path, text in config_files(args.root, out, pairs).items():
            path.write_text(text, encoding="utf-8")
    print(f"{out}: name the classes in it, then run python tools/verify_dataset.py {out}")


def config_files(root: Path, out: Path, pairs: list) -> dict[Path, str]:
    """The config of a data set, with a comment at each guess, and lists of the images that have a label."""
    from mmseg.datasets.describe import settings
    from mmseg.datasets.transforms.loading import LoadImage

    first = pairs[0]
    values: Counter = sum((pair.values for pair in pairs), Counter())
    found = settings(first, values)
    total = max(values.total(), 1)
    sample, load_image = first.images.path(root, first.names[0]), 'dict(type="LoadImage")'
    width, height = LoadImage().size(sample)
    try:
        LoadImage().read(sample)
    except DataError:  # deeper than 8 bits
        load_image = 'dict(type="LoadImage", percentiles=(1, 99))'  # value_range is better where it is known
    edge = max(min(512, height // 32 * 32, width // 32 * 32), 32)
    lines = [
        HEADER.format(root=root, out=out),
        PIPELINES.format(box=(width, height), crop=(edge, edge), load_image=load_image),
        'own_data = dict(\n    type="CustomDataset",\n',
        f"    data_root={str(root)!r},\n    img_suffix={first.images.suffix!r},\n",
        f"    seg_map_suffix={first.labels.suffix!r},\n",
        "    # share of the pixels in the labels that were read; unnamed classes are called by their value\n",
        "    classes=[\n",
    ]
    id_map = found["id_map"]
    used = list(id_map) if id_map is not None else list(range(len(found["classes"])))
    for name, value in zip(found["classes"], used, strict=True):
        lines.append(f"        {name!r},  # {value}: {values[value] / total:.1%}\n")
    lines.append("    ],\n")
    if id_map is not None:
        lines.append(
            "    # value in the files -> class; values that are not listed are ignored\n    id_map={\n"
        )
        lines += [f"        {value!r}: {c},\n" for value, c in id_map.items()]
        lines.append("    },\n")
    lines.append(")\n")
    files: dict[Path, str] = {}
    training = next((pair for pair in pairs if _is(pair, "tra")), first)
    testing = next((pair for split in ("val", "test") for pair in pairs if _is(pair, split)), training)
    for pair in pairs:
        if pair not in (training, testing):
            lines.append(
                f"# not used: {len(pair.names)} pairs of {pair.images.folder} and {pair.labels.folder}\n"
            )
        lines += [f"# {remark}\n" for remark in pair.remarks]
    if testing is training and not any(_split_file(training, "val")):
        lines.append(
            "# no images for validation were found: these are those of training, so scores say little\n"
        )
    for loader, pair, pipeline in (("train", training, "train"), ("val", testing, "test")):
        extra = "" if loader == "train" else "        test_mode=True,\n"
        settings_of = "own_data"
        if (pair.images.suffix, pair.labels.suffix) != (first.images.suffix, first.labels.suffix):
            suffixes = f"img_suffix={pair.images.suffix!r}, seg_map_suffix={pair.labels.suffix!r}"
            settings_of = f"{{**own_data, **dict({suffixes})}}"
        split = next(_split_file(pair, loader), None)
        if split is not None:
            extra += f"        split={str(root / split)!r},\n"
        elif len(pair.names) < len(pair.images.names):
            labelled = out.resolve().with_name(f"{out.stem}_labelled_{loader}.txt")
            files[labelled] = "".join(f"{name}\n" for name in pair.names)
            extra += f"        split={str(labelled)!r},  # images that have a label\n"
        lines.append(
            f"{loader}_dataloader = dict(\n    dataset=dict(\n        **{settings_of},\n"
            f"        img_dir={pair.images.folder!r},\n        ann_dir={pair.labels.folder!r},\n{extra}"
            f"        pipeline={pipeline}_pipeline,\n    )\n)\n"
        )
    lines.append("test_dataloader = val_dataloader\n")
    return files | {out: "".join(lines)}


def _split_file(pair, loader: str) -> Iterator[str]:
    """Lists of the images for training or validation; those that are called so alone come first."""
    named = [file for file in pair.splits if loader in Path(file).stem.lower()]
    exact = [file for file in named if Path(file).stem.lower() == loader]
    yield from exact or [file for file in named if "trainval" not in file.lower()]


def _is(pair, split: str) -> bool:
    from mmseg.datasets.describe import split_of

    return split_of(pair.images.folder) == split
