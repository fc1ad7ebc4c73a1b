"""Folders of labels: what one, two and killed processes write and what is read again."""

import json
import multiprocessing
import socket

import cv2
import numpy as np
import pytest
import torch
import torch.distributed as dist

from mmseg.errors import DataError
from mmseg.labelling import ClassBalanced, EasyHard, EntropyRanking, GlobalThreshold
from mmseg.labelling.label_folder import SOFT_STEPS, RoundLabels, read_soft
from mmseg.labelling.label_images import label_images
from mmseg.labelling.labeller import Choice, ImageLabel, Labeller, Survey

CLASSES = ("road", "car", "sky")
NAMES = ["a/0", "a/1", "b/0", "b/1", "c"]


class MeanOfAll(Survey):
    """Sum of the probabilities of each class over all images."""

    def __init__(self, num_classes):
        self.sums = torch.zeros(num_classes, dtype=torch.int64)

    def add(self, name, probabilities):
        self.sums += (probabilities * 2**20).long().sum((1, 2))

    def merge(self):
        if dist.is_initialized():
            dist.all_reduce(self.sums)


class SoftWhereSure(Choice):
    def __init__(self, total, at_least):
        super().__init__({"thresholds": total.tolist(), "rare_classes": [2]}, {"even": NAMES[::2]})
        self.at_least = at_least

    def label(self, name, probabilities):
        if name == "b/1":
            return None
        best, label = probabilities.max(0)
        chosen = best >= self.at_least
        return ImageLabel(label.byte().masked_fill(~chosen, 255), probabilities * chosen)


class Sure(Labeller):
    def __init__(self, at_least):
        self.at_least = at_least

    def choose(self, round, num_classes):
        mean = MeanOfAll(num_classes)
        yield mean
        return SoftWhereSure(mean.sums + round, self.at_least)


def predict(index):
    generator = torch.Generator().manual_seed(index)
    return torch.rand(3, 5 + index, 7, generator=generator).softmax(0)


def labels_at(folder, **options):
    return label_images(Sure(0.4), 2, NAMES, predict, folder, "digest", CLASSES, **options)


def content_of(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_written_is_read_again(tmp_path):
    seen = []
    written = labels_at(tmp_path / "2", draw=lambda labels: seen.append(labels.label_path("c").is_file()))
    labels = RoundLabels.read(tmp_path / "2")
    assert seen == [True] and labels == written
    assert (labels.round, labels.classes, labels.weights) == (2, list(CLASSES), "digest")
    assert labels.summary["labeller"] == {"type": "Sure", "at_least": 0.4}
    assert labels.rare_classes == [2] and labels.splits == {"even": ["a/0", "b/0", "c"]}
    sums = sum((predict(index) * 2**20).long().sum((1, 2)) for index in range(5))
    assert labels.thresholds == (sums + 2).tolist()
    counts = np.zeros(256, int)
    for index, name in enumerate(NAMES):
        if name == "b/1":
            continue
        best, expected = predict(index).max(0)
        label = cv2.imread(str(labels.label_path(name)), cv2.IMREAD_UNCHANGED)
        assert label.dtype == np.uint8 and np.array_equal(label, np.where(best >= 0.4, expected, 255))
        soft = read_soft(labels.soft_path(name), label)
        assert np.abs(soft - (predict(index) * (best >= 0.4)).numpy()).max() <= 0.5 / SOFT_STEPS + 1e-7
        counts += np.bincount(label.ravel(), minlength=256)
    assert labels.summary["pixels"] == counts[:3].tolist() and labels.has_soft
    assert labels.summary["unlabelled_pixels"] == counts[255] > 0
    assert labels.summary["labelled_share"] == counts[:3].sum() / counts.sum()
    assert (labels.summary["images"], labels.summary["labelled_images"]) == (5, 4)


def test_a_folder_that_exists_is_complete(tmp_path):
    class Killed(Exception):
        pass

    def dies(index):
        if index == 3:
            raise Killed
        return predict(index)

    with pytest.raises(Killed):
        label_images(Sure(0.4), 2, NAMES, dies, tmp_path / "0", "digest", CLASSES)
    assert not (tmp_path / "0").exists()
    (tmp_path / ".0.tmp" / "labels").mkdir(parents=True, exist_ok=True)
    (tmp_path / ".0.tmp" / "labels" / "stale.png").write_bytes(b"")
    labels_at(tmp_path / "0")
    labels_at(tmp_path / "1")
    assert content_of(tmp_path / "0") == content_of(tmp_path / "1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0", "1"]


def test_wrong_folders_are_explained(tmp_path):
    with pytest.raises(DataError, match=r"summary\.json: cannot be read .* make it again"):
        RoundLabels.read(tmp_path)
    labels = labels_at(tmp_path / "0")
    with pytest.raises(DataError, match=r"d\.png: is missing; found labels of 4 images"):
        labels.label_path("d")
    with pytest.raises(DataError, match=r"holds labels of 3 classes \(road, car, sky\), expected those"):
        labels.check_classes(("road", "car"))
    with pytest.raises(DataError, match=r"expected 35, which the label map beside"):
        read_soft(labels.soft_path("c"), np.zeros((5, 7), np.uint8))
    with pytest.raises(DataError, match="there is no image to label"):
        label_images(Sure(0.4), 0, [], predict, tmp_path / "1", "digest", CLASSES)
    lost = labels.soft_path("c").rename(tmp_path / "lost")
    with pytest.raises(DataError, match=r"soft of \d images, but found \d files in soft/"):
        RoundLabels.read(tmp_path / "0")
    lost.rename(tmp_path / "0" / "soft" / "c.npz")
    RoundLabels.read(tmp_path / "0")
    (tmp_path / "0" / "even.txt").unlink()
    with pytest.raises(DataError, match=r"even\.txt"):
        RoundLabels.read(tmp_path / "0")


REAL = [
    Sure(0.4),
    ClassBalanced(0.3, stride=2),
    GlobalThreshold(0.3, stride=1, exact=True),
    EasyHard(portion=0.5, easy_share=0.5),
    EntropyRanking(0.5),
]


def _label_share(rank, port, folder, processes):
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=processes)
    for index, labeller in enumerate(REAL):
        label_images(labeller, 0, NAMES[: 5 - 4 * (index == 1)], predict, folder / str(index), "w", CLASSES)
    dist.destroy_process_group()


def test_two_processes_write_what_one_writes(tmp_path):
    """Also where there are fewer images than processes."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    context = multiprocessing.get_context("fork")
    workers = [context.Process(target=_label_share, args=(r, port, tmp_path / "two", 2)) for r in range(2)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(30)
    assert [worker.exitcode for worker in workers] == [0, 0]
    for index, labeller in enumerate(REAL):
        names = NAMES[: 5 - 4 * (index == 1)]
        label_images(labeller, 0, names, predict, tmp_path / "one" / str(index), "w", CLASSES)
    assert content_of(tmp_path / "two") == content_of(tmp_path / "one")
    assert json.loads((tmp_path / "two" / "3" / "summary.json").read_text())["labelled_images"] == 2
