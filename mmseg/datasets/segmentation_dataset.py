"""Images and label maps in two folders: the base of all data sets."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from torch.utils.data import Dataset

from mmseg.datasets.files import Found, as_suffixes, find_files, seeming_labels, without_labels_between
from mmseg.datasets.folders import Folder, OptionalTexts, Texts, common_folder, resolve_folders
from mmseg.datasets.prepared.format import PreparedData
from mmseg.datasets.pseudo_margins import PseudoMargins
from mmseg.datasets.sampling.keyed_random import SAMPLE_STREAM, epoch_permutation, keyed_random_state
from mmseg.datasets.transforms.base import Results, Transform, run_transforms
from mmseg.datasets.transforms.formatting import PackInputs
from mmseg.datasets.transforms.loading import ColorTable, LoadImage, LoadLabel
from mmseg.errors import ConfigError, DataError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.labels import IGNORE_INDEX
from mmseg.registry import DATASETS, TRANSFORMS

LARGEST_ID = 2**24 - 1  # of id_map, which becomes a table


@dataclass(frozen=True)
class Sample:
    """Files of one image.

    Attributes:
        img_path: Image file.
        seg_map_path: Label file, or None where labels are not used.
        name: Path of the image below the image folder, without suffix.
        soft_path: File of its soft labels, or None.
    """

    img_path: str
    seg_map_path: str | None
    name: str
    soft_path: str | None = None


def _shown(suffix: str | Sequence[str]) -> str:
    return suffix if isinstance(suffix, str) else f"({', '.join(suffix)})"


def _is_leading(transform: Transform) -> bool:
    return not (transform.random or isinstance(transform, PackInputs))


@DATASETS.register_module()
class SegmentationDataset(Dataset):
    """Pairs of images and label maps, matched by name and sorted.

    Subclasses only change the defaults below; each is also an argument. Folders are searched recursively,
    without hidden ones and those of file servers and systems (``@eaDir``, ``__MACOSX``).

    Args:
        data_root: Folder of the data set. This, ``img_dir``, ``ann_dir`` and ``split`` may be lists of the
            same length, one entry for each folder of images; a text holds for all of them.
        img_dir: Folder of the images, below ``data_root`` unless absolute.
        ann_dir: Folder of the label maps, below ``data_root`` unless absolute. Without it there are no
            labels.
        img_suffix: End of the image file names, or several; capital or small letters do not matter.
        seg_map_suffix: The same of the label files; label and image names agree in all but the suffix. Files
            that end so are never images, also where labels are not loaded.
        split: Text file (UTF-8) with one name (without suffix) per line that limits the data set. In a list,
            None takes the whole folder.
        pipeline: Configs of the transforms.
        test_mode: Positions are file indices and nothing is shuffled.
        classes: Names of the classes; class c has label value c.
        palette: One RGB colour per class.
        id_map: Label value in the file → class, or (red, green, blue) → class for RGB labels; all other
            values are ignored. None: files hold classes.
        load_labels: With False, label files are neither looked for nor read.
        crop_pseudo_margins: Top, bottom, left and right margin in which pseudo-labels are not trusted.
        prepared: Folder that ``tools/prepare_data.py`` has written; pixels come from there instead of from
            the image and label files.
        seed: Seed of file order and augmentation.

    Attributes:
        folders: Where the files come from.
        root, img_dir, ann_dir: The folder that all of ``data_root``, ``img_dir``, ``ann_dir`` have in common:
            with a single one that one. Names of samples are paths below ``img_dir``.
        remarks: What was left out or looks odd, for :mod:`mmseg.datasets.verify`.
        rare_classes: Classes that crops of a round prefer, see :class:`MiningCrop`.

    Raises:
        DataError: A folder is missing or empty, labels are missing, an image is in two lists, or the prepared
            pixels do not fit.
        ConfigError: Classes and palette do not fit, or the lists of folders.
    """

    default_img_dir: ClassVar[str] = ""
    default_ann_dir: ClassVar[str | None] = None
    default_img_suffix: ClassVar[str | tuple[str, ...]] = ".png"
    default_seg_map_suffix: ClassVar[str] = ".png"
    default_classes: ClassVar[tuple[str, ...]] = ()
    default_palette: ClassVar[list[tuple[int, int, int]]] = []
    margin_reference_size: ClassVar[tuple[int, int] | None] = None
    """(height, width) of the images that ``crop_pseudo_margins`` is given for."""
    converter: ClassVar[str | None] = None
    """Name of the script in ``tools/convert_datasets`` that writes train ids and class statistics."""
    server_format: ClassVar[str] = "cityscapes"
    """What its server takes, one of :data:`mmseg.evaluation.server_formats.SERVER_FORMATS`."""
    class_subsets: ClassVar[tuple[str, ...]] = ()
    """Mean IoUs over fewer classes that a network trained with it is scored by as well, '16' and '13'."""

    def __init__(
        self,
        data_root: Texts = "",
        img_dir: Texts = None,
        ann_dir: Texts = None,
        img_suffix: Texts = None,
        seg_map_suffix: Texts = None,
        split: OptionalTexts = None,
        pipeline: Sequence[dict] = (),
        test_mode: bool = False,
        classes: Sequence[str] | None = None,
        palette: Sequence[Sequence[int]] | None = None,
        id_map: Mapping[Any, int] | None = None,
        load_labels: bool = True,
        crop_pseudo_margins: Sequence[int] | None = None,
        prepared: str | None = None,
        seed: int = 0,
    ) -> None:
        for name, suffix in dict(img_suffix=img_suffix, seg_map_suffix=seg_map_suffix).items():
            if suffix is not None:
                self._check_suffix(name, suffix)
        self.folders = resolve_folders(
            data_root,
            self.default_img_dir if img_dir is None else img_dir,
            self.default_ann_dir if ann_dir is None else ann_dir,
            split,
        )
        labels = [folder.labels for folder in self.folders if folder.labels is not None]
        self.root = common_folder([folder.root for folder in self.folders])
        self.img_dir = common_folder([folder.images for folder in self.folders])
        self.ann_dir = common_folder(labels) if labels and load_labels else None
        self.remarks: list[str] = []
        self.img_suffix = self.default_img_suffix if img_suffix is None else img_suffix
        self.seg_map_suffix = self.default_seg_map_suffix if seg_map_suffix is None else seg_map_suffix
        self.classes, self.palette = self._resolve_classes(classes, palette)
        self.id_lookup = None if id_map is None else self._id_lookup(id_map)
        self.pseudo_margins = (
            None
            if crop_pseudo_margins is None
            else PseudoMargins.from_config(crop_pseudo_margins, self.margin_reference_size)
        )
        self.test_mode = test_mode
        self.seed = seed
        self.pipeline = list(pipeline)
        self.rare_classes: tuple[int, ...] = ()
        self._set_transforms([TRANSFORMS.build(cfg) for cfg in pipeline])
        self.samples = self._find_samples()
        self.prepared = None if prepared is None else PreparedData(prepared, self)

    # ------------------------------------------------------------------------------------------ what there is

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.classes)

    @property
    def metainfo(self) -> dict[str, Any]:
        """``classes`` (tuple of names) and ``palette`` (list of RGB tuples)."""
        return {"classes": self.classes, "palette": self.palette}

    @property
    def is_listed(self) -> bool:
        """Whether a split file leaves files of the folders out."""
        return any(folder.split is not None for folder in self.folders)

    @property
    def has_labels(self) -> bool:
        """Whether label maps are read."""
        return self.ann_dir is not None

    def __len__(self) -> int:
        return len(self.samples)

    def without_labels(self) -> SegmentationDataset:
        """The same images as a data set that never reads a label."""
        unlabelled = copy.copy(self)
        unlabelled.ann_dir = None
        unlabelled.samples = [replace(sample, seg_map_path=None) for sample in self.samples]
        return unlabelled

    def with_labels(self, labels: RoundLabels) -> SegmentationDataset:
        """The same images with the labels of a round, and its rare classes.

        They are read behind the image where the pipeline reads no labels. Prepared pixels are not used: they
        may have another size than the labels.

        Raises:
            DataError: An image has no label, or the labels number other classes.
        """
        labels.check_classes(self.classes)
        labelled = self.with_rare_classes(labels.rare_classes)
        labelled.ann_dir = labels.folder / "labels"
        labelled.id_lookup = labelled.prepared = None
        labelled.samples = [
            replace(
                sample,
                seg_map_path=str(labels.label_path(sample.name)),
                soft_path=str(labels.soft_path(sample.name)) if labels.has_soft else None,
            )
            for sample in self.samples
        ]
        if not any(isinstance(step, LoadLabel) for step in self.transforms):
            first = next((n for n, step in enumerate(self.transforms, 1) if isinstance(step, LoadImage)), 0)
            labelled._set_transforms([*self.transforms[:first], LoadLabel(), *self.transforms[first:]])
        return labelled

    def with_rare_classes(self, classes: Sequence[int]) -> SegmentationDataset:
        """The same data set, whose crops prefer some classes if its pipeline has a :class:`MiningCrop`."""
        preferring = copy.copy(self)
        preferring.rare_classes = tuple(classes)
        return preferring

    def subset(self, names: Sequence[str]) -> SegmentationDataset:
        """The images of these names, in the order of the data set.

        Raises:
            DataError: There is no image of a name.
        """
        chosen = set(names)
        unknown = sorted(chosen - {sample.name for sample in self.samples})
        if unknown:
            raise DataError(
                f"{self.img_dir}: {len(unknown)} of {len(chosen)} named images are not in the data set, for "
                f"example {unknown[0]!r}; expected names such as {self.samples[0].name!r}: name the images "
                "that belong to this list"
            )
        part = copy.copy(self)
        part.samples = [sample for sample in self.samples if sample.name in chosen]
        return part

    def _set_transforms(self, transforms: list[Transform]) -> None:
        self.transforms = transforms
        self._num_leading = len(list(takewhile(_is_leading, transforms)))
        randoms = [i for i, transform in enumerate(transforms, 1) if transform.random]
        self._num_drawn = max([self._num_leading, *randoms])

    def _check_suffix(self, name: str, suffix: Any) -> None:
        several = [suffix] if isinstance(suffix, str) else suffix
        if not (isinstance(several, Sequence) and all(isinstance(each, str) for each in several)):
            raise ConfigError(f"config: {type(self).__name__} {name}={suffix!r}; expected a text")
        if not several or any(not each or each[0].isalnum() for each in several):
            raise ConfigError(
                f"config: {type(self).__name__} {name}={suffix!r}; expected ends of file names that start "
                "with a dot or another sign, as '.png' or '_gt.png'"
            )

    def _resolve_classes(
        self, classes: Sequence[str] | None, palette: Sequence[Sequence[int]] | None
    ) -> tuple[tuple[str, ...], list[tuple[int, int, int]]]:
        names = tuple(self.default_classes if classes is None else classes)
        owner = type(self).__name__
        if not all(len(c) == 3 and all(v in range(256) for v in c) for c in palette or ()):
            raise ConfigError(f"config: {owner} palette={palette!r:.200}; expected [(red, green, blue), …]")
        colours = [(r, g, b) for r, g, b in (self.default_palette if palette is None else palette)]
        if not names:
            raise ConfigError(f"config: {owner} needs classes, a list of class names")
        if len(set(names)) != len(names):
            raise ConfigError(f"config: {owner} classes are not distinct: {names}")
        if len(colours) != len(names):
            raise ConfigError(f"config: {owner} has {len(names)} classes but {len(colours)} palette colours")
        return names, colours

    def _id_lookup(self, id_map: Mapping[Any, int]) -> np.ndarray | ColorTable:
        """Table from raw id to train id, whose last entry is 255 and stands for all ids beyond; or from
        colour to train id."""
        if isinstance(id_map, Mapping) and any(isinstance(key, tuple | list) for key in id_map):
            return self._color_table(id_map)
        if isinstance(id_map, Mapping):  # JSON knows no keys but texts
            id_map = {int(k) if isinstance(k, str) and k.isdigit() else k: c for k, c in id_map.items()}
        if not isinstance(id_map, Mapping) or not all(
            isinstance(number, int) for pair in id_map.items() for number in pair
        ):
            raise ConfigError(
                f"config: id_map={id_map!r} of {type(self).__name__}, expected a dict of whole numbers (or "
                "colours) and class numbers, as {7: 0, 8: 1}"
            )
        table = {int(raw_id): int(train_id) for raw_id, train_id in id_map.items()}
        wrong = {
            r: t
            for r, t in table.items()
            if r not in range(LARGEST_ID + 1) or not (0 <= t < self.num_classes or t == IGNORE_INDEX)
        }
        if wrong:
            raise ConfigError(
                f"config: id_map entries {wrong} of {type(self).__name__}, expected ids from 0 to "
                f"{LARGEST_ID} mapped to 0 … {self.num_classes - 1} or {IGNORE_INDEX}"
            )
        lookup = np.full(max([IGNORE_INDEX, *table]) + 2, IGNORE_INDEX, np.uint8)
        lookup[list(table)] = list(table.values())
        return lookup

    def _color_table(self, id_map: Mapping[Any, int]) -> ColorTable:
        wrong = {
            color: c
            for color, c in id_map.items()
            if not (
                isinstance(color, tuple | list) and len(color) == 3 and all(v in range(256) for v in color)
            )
            or not (c in range(self.num_classes) or c == 255)
        }
        if wrong or not id_map:
            raise ConfigError(
                f"config: id_map entries {wrong} of {type(self).__name__}, expected colours (red, green, "
                f"blue) mapped to 0 … {self.num_classes - 1} or 255"
            )
        return ColorTable({tuple(color): c for color, c in id_map.items()})

    # --------------------------------------------------------------------------------------------- file lists

    def _find_samples(self) -> list[Sample]:
        samples: dict[str, Sample] = {}
        for folder in self.folders:
            for sample in self._samples_of(folder):
                if samples.setdefault(sample.name, sample) is not sample:
                    raise DataError(
                        f"{sample.img_path}: is in two of the folders or lists of the data set; expected "
                        "each image once: correct img_dir or split"
                    )
        return [sample for _, sample in sorted(samples.items())]

    def _samples_of(self, folder: Folder) -> Iterator[Sample]:
        """What a folder holds, named by the paths below the common folder of all images."""
        below = folder.images.relative_to(self.img_dir).as_posix()
        prefix = "" if below == "." else f"{below}/"
        images = self._images(folder)
        if self.ann_dir is None or folder.labels is None:
            yield from (Sample(path, None, prefix + name) for name, path in images.items())
            return
        labels = self._find(folder, "label").paths
        missing = [name for name in images if name not in labels]
        if missing:
            shown = ", ".join(f"{name}{_shown(self.seg_map_suffix)}" for name in missing[:3])
            raise DataError(
                f"{folder.labels}: {len(missing)} of {len(images)} images have no label, for example "
                f"{shown}; {self._label_remedy(folder)}"
            )
        both = next((path for name, path in images.items() if path == labels[name]), None)
        if both is not None:
            raise DataError(
                f"{both}: would be both image and label (img_dir {folder.images}, ann_dir {folder.labels}); "
                "name the folder of the labels as ann_dir, or their ending as seg_map_suffix"
            )
        yield from (Sample(path, labels[name], prefix + name) for name, path in images.items())

    def _images(self, folder: Folder) -> dict[str, str]:
        """Name -> file of every image; labels between or below the images are none."""
        found = self._find(folder, "image")
        suffixes, label_suffixes = as_suffixes(self.img_suffix), as_suffixes(self.seg_map_suffix)
        found = without_labels_between(folder.images, found, suffixes, label_suffixes)
        chosen = found.paths if folder.split is None else self._listed(folder, folder.split, found.paths)
        remarks = [*found.remarks, *seeming_labels(chosen)]
        self.remarks += [remark for remark in remarks if remark not in self.remarks]
        return chosen

    def _listed(self, folder: Folder, split: Path, images: dict[str, str]) -> dict[str, str]:
        """The images that a file lists."""
        try:
            lines = split.read_text(encoding="utf-8-sig").splitlines()
        except OSError as error:
            raise DataError(f"{split}: the split file cannot be read ({error})") from error
        except UnicodeDecodeError as error:
            raise DataError(f"{split}: the split file is not UTF-8 text; save it as UTF-8") from error
        chosen = {line.strip() for line in lines if line.strip()}
        unknown = sorted(chosen - images.keys())
        if unknown or not chosen:
            problem = (
                f"{len(unknown)} names without image, for example {', '.join(unknown[:3])}"
                if unknown
                else "no name"
            )
            raise DataError(
                f"{split}: {problem}; expected one name per line, relative to {folder.images}, "
                f"without {_shown(self.img_suffix)}"
            )
        return {name: images[name] for name in sorted(chosen)}

    def _find(self, folder: Folder, kind: Literal["image", "label"]) -> Found:
        """Images or labels of a folder; labels below the images are no images."""
        remedy = self._label_remedy(folder)
        place, suffix, without = folder.labels, self.seg_map_suffix, list[Path]()
        if kind == "image":
            remedy = "check data_root and img_dir of the config"
            place, suffix = folder.images, self.img_suffix
            labels = {each.labels.resolve() for each in self.folders if each.labels is not None}
            without = [each for each in labels if not place.resolve().is_relative_to(each)]
        assert place is not None
        if not place.is_dir():
            raise DataError(
                f"{place}: the {kind} folder is missing (expected files *{_shown(suffix)} there); {remedy}"
            )
        labels_between = as_suffixes(self.seg_map_suffix) if kind == "image" else ()
        found = find_files(place, as_suffixes(suffix), without, labels_between)
        if not found.paths:
            raise DataError(
                f"{place}: the {kind} folder holds no file *{_shown(suffix)}"
                + "".join(f" ({remark})" for remark in found.remarks[:1] if kind == "image")
                + f"; {remedy}"
            )
        return found

    def _label_remedy(self, folder: Folder) -> str:
        if self.converter is None:
            return "check ann_dir and seg_map_suffix of the config"
        return f"run python tools/convert_datasets/{self.converter}.py {folder.root}"

    # ------------------------------------------------------------------------------------------------ samples

    def describe(self, sample: Sample) -> Results:
        """What a pipeline starts with: the files, and how to understand them."""
        return {
            "img_path": sample.img_path,
            "seg_map_path": sample.seg_map_path,
            "name": sample.name,
            "soft_path": sample.soft_path,
            "rare_classes": self.rare_classes,
            "num_classes": self.num_classes,
            "id_lookup": self.id_lookup,
            "pseudo_margins": self.pseudo_margins,
        }

    @property
    def leading_transforms(self) -> list[Transform]:
        """What runs before the first random transform: its result is the same each time, so it can be
        prepared."""
        return self.transforms[: self._num_leading]

    @property
    def random_transforms(self) -> list[Transform]:
        """What runs behind them, from the first random transform on."""
        return self.transforms[self._num_leading :]

    def load(self, index: int) -> Results:
        """Read file ``index`` and run the pipeline up to its first random transform."""
        results = self.describe(self.samples[index])
        if self.prepared is not None:
            return self.prepared.load(results)
        return run_transforms(self.leading_transforms, results)

    def augment(self, results: Results, rng: np.random.RandomState) -> Results:
        """Run the random transforms; ``results`` stay as they are and can be augmented again."""
        return run_transforms(self.transforms[self._num_leading : self._num_drawn], {**results, "rng": rng})

    def pack(self, results: Results) -> Results:
        """Run what comes behind the last random transform."""
        return run_transforms(self.transforms[self._num_drawn :], results)

    def get(self, index: int, rng: np.random.RandomState) -> Results:
        """Sample of file ``index`` with the augmentation that ``rng`` draws."""
        return self.pack(self.augment(self.load(index), rng))

    def __getitem__(self, position: int) -> Results:
        """Sample ``position`` of a run, a pure function of seed and position.

        In training, positions have no upper end: every ``len(self)`` positions visit each file once, in a new
        order.
        """
        rng = keyed_random_state(self.seed, SAMPLE_STREAM, position)
        if self.test_mode:
            return self.get(position, rng)
        epoch, place = divmod(position, len(self))
        return self.get(int(epoch_permutation(self.seed, epoch, len(self))[place]), rng)
