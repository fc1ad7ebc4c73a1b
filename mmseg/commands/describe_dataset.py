"""Look at a folder of images and labels, and write a data set config for it.

Folders, suffixes, label values and classes are guessed from the files and written with comments; check them,
name the classes, then run verify_dataset on the config.
"""

from __future__ import annotations

import argparse
import os
import posixpath
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mmseg.cli import command, writing
from mmseg.errors import ConfigError, DataError

if TYPE_CHECKING:  # describe imports torch
    from mmseg.datasets.describe import Description

HEADER = """# {root}, as found by describe_dataset; check each guess, name the classes, then run
# {verify}
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
    parser.add_argument("--nproc", type=int, default=4, help="processes (default: %(default)s)")
    parser.add_argument("--overwrite", action="store_true", help="replace the config if there is one")
    return parser.parse_args(argv)


@command
def main(argv: list[str] | None = None) -> None:
    """Guess, write the config and say what was found."""
    from mmseg.commands import verify_dataset
    from mmseg.datasets.describe import describe

    args = parse_args(argv)
    out = args.out or Path("configs", "own", f"{args.root.resolve().name}.py")
    if out.exists() and not args.overwrite:
        raise ConfigError(f"--out {out}: exists; name another file, or replace it with --overwrite")
    found = describe(args.root, args.nproc)
    files = config_files(args.root, out, found)
    for remark in found.remarks:
        print(f"warning: {remark}", file=sys.stderr)
    with writing(str(out)):
        out.parent.mkdir(parents=True, exist_ok=True)
        for path, text in files.items():
            path.write_text(text, encoding="utf-8")
    for name, pairs in found.parts.items():
        print(f"{name}: {len(pairs)} pairs, as {pairs[0].image} with {pairs[0].label}")
    if verify_dataset.main([str(out), "--quick"]) != 0:
        raise DataError(f"{out}: was written, but has to be corrected by hand, as said above")
    print(f"{out}: name the classes in it, then run {verify_command(out)}")


def verify_command(out: Path) -> str:
    """What to type to check a config."""
    return shlex.join(["python", "tools/verify_dataset.py", str(out)])


def config_files(root: Path, out: Path, found: Description) -> dict[Path, str]:
    """The config of a data set, with a comment at each guess, and lists of images where folders hold more."""
    from mmseg.config.base import CONFIGS
    from mmseg.datasets.describe import folders, settings, suffixes

    own = settings(found)
    width, height = found.size
    edge = max(min(512, height // 32 * 32, width // 32 * 32), 32)
    load_image = ", percentiles=(1, 99)" if found.is_deep else ""  # value_range is better where it is known
    loaders = CONFIGS / "_base_" / "datasets" / "parts" / "loaders.py"
    if out.resolve().is_relative_to(CONFIGS.parent):
        loaders = Path(os.path.relpath(loaders, out.resolve().parent))
    lines = [
        HEADER.format(root=root, verify=verify_command(out)),
        f"_base_ = [{loaders.as_posix()!r}]\n",
        PIPELINES.format(box=found.size, crop=(edge, edge), load_image=f'dict(type="LoadImage"{load_image})'),
        f'own_data = dict(\n    type="CustomDataset",\n    data_root={str(root)!r},\n',
        "    # share of the pixels in the labels; unnamed classes are called by their value\n",
        "    classes=[\n",
    ]
    id_map = own["id_map"]
    used = list(id_map) if id_map is not None else list(range(len(own["classes"])))
    for name, value in zip(own["classes"], used, strict=True):
        lines.append(f"        {name!r},  # {value}: {found.values[value] / found.values.total():.1%}\n")
    lines.append("    ],\n")
    if id_map is not None:
        lines.append(
            "    # value in the files -> class; values that are not listed are ignored\n    id_map={\n"
        )
        lines += [f"        {value!r}: {c},\n" for value, c in id_map.items()]
        lines.append("    },\n")
    lines.append(")\n")
    files: dict[Path, str] = {}
    there_at_all: set[str] = set()
    for part, pairs in found.parts.items():
        ends = suffixes(pairs)
        splits: list[str | None] = []
        for number, (place, names) in enumerate(folders(pairs).items(), 1):
            there = names_in(root, place, ends)
            there_at_all |= {posixpath.join(place[0], name) for name in there}
            given = root / found.lists.get(part, "")
            written = out.resolve().with_name(f"{out.stem}_{part}_{number}.txt")
            if there == names:
                splits.append(None)
            elif given.is_file() and names_of(given) == names:
                splits.append(str(given))
            else:
                files[written] = "".join(f"{name}\n" for name in sorted(names))
                splits.append(str(written))
        image_dirs, label_dirs = map(list, zip(*folders(pairs), strict=True))
        lines.append(f"{part}_dataloader = dict(\n    dataset=dict(\n        **own_data,\n")
        for name, each in (
            ("img_dir", image_dirs), ("ann_dir", label_dirs), ("img_suffix", ends[0]),
            ("seg_map_suffix", ends[1]), ("split", splits if any(splits) else []),
        ):  # fmt: skip
            lines.append(f"        {name}={(each[0] if len(each) == 1 else each)!r},\n" if each else "")
        lines.append("" if part == "train" else "        test_mode=True,\n")
        lines.append(f"        pipeline={'train' if part == 'train' else 'test'}_pipeline,\n    )\n)\n")
    if "test" not in found.parts:
        lines.append("test_dataloader = val_dataloader\n")
    pairs = [pair for part in found.parts.values() for pair in part]
    unused = there_at_all - {posixpath.join(pair.folders[0], pair.name) for pair in pairs}
    if unused:
        found.remarks.append(f"{len(unused)} images have no label, or none that is used, as {min(unused)}")
    lines += [f"# {remark}\n" for remark in found.remarks]
    return files | {out: "".join(lines)}


def names_of(listed: Path) -> set[str]:
    """Lines of a list as a data set reads it."""
    return {line.strip() for line in listed.read_text("utf-8-sig", "replace").splitlines()} - {""}


def names_in(root: Path, place: tuple[str, str], ends: tuple[list[str], list[str]]) -> set[str]:
    """Names of the images that a data set would find in a folder."""
    from mmseg.datasets import CustomDataset

    dataset = CustomDataset(
        data_root=str(root), img_dir=place[0], ann_dir=place[1], img_suffix=ends[0], seg_map_suffix=ends[1],
        classes=["a", "b"], load_labels=False,
    )  # fmt: skip
    return {sample.name for sample in dataset.samples}
