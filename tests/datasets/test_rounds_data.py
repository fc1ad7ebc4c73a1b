"""Data sets, crops and scales of self-training in rounds, against draws of the published implementation."""

import copy

import cv2
import numpy as np
import pytest
import torch
from golden_data import gen, load

from mmseg.datasets import CustomDataset, EasyHardDataset, SelfTrainingDataset, UDADataset, seg_collate
from mmseg.datasets.sampling.keyed_random import epoch_permutation
from mmseg.datasets.self_training_dataset import choose_source
from mmseg.datasets.transforms import MiningCrop, Pad, RandomFlip, RandomScale, Resize
from mmseg.datasets.transforms.geometry import crop_around
from mmseg.errors import ConfigError, DataError
from mmseg.labelling.label_folder import RoundLabels, write_label, write_summary
from mmseg.labelling.labeller import ImageLabel
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.uda.uda_batch import UDABatch

GOLDEN = load("survey/rounds/crst_data")
CLASSES, PALETTE = ("a", "b", "c"), [(0, 0, 0), (9, 9, 9), (99, 0, 0)]
SIZE, NUM = (24, 32), 6
MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)


class Draws:
    """Stands for a random state that draws what a test says."""

    def __init__(self, *values):
        self.values = list(values)

    def randint(self, *bounds):
        value = self.values.pop(0)
        assert (0 if len(bounds) == 1 else bounds[0]) <= value < bounds[-1]
        return value

    def rand(self):
        return self.values.pop(0)


# ------------------------------------------------------------------------------------------ published numbers


def test_mining_crops_are_the_published_ones():
    """The only pixel of the mined class decides; its place in the picture names the crop."""
    for height, width, row, column, top, left, found, inner_row, inner_column, _ in GOLDEN["mine_crops"]:
        label = np.zeros((64, 128), np.uint8)
        label[row, column] = 7
        code_rows, code_columns = np.indices(label.shape) % 256
        image = np.stack([code_rows, code_columns, code_rows], -1).astype(np.uint8)
        crop = MiningCrop((int(height), int(width)), probability=1.0)
        results = crop(
            {"img": image, "gt_semantic_seg": label, "rare_classes": (3, 7), "rng": np.random.RandomState(0)}
        )
        padded = Pad((int(height), int(width)))(results)
        assert padded["img"].shape[:2] == (height, width)
        assert tuple(padded["img"][0, 0, :2]) == (top, left)
        places = np.argwhere(padded["gt_semantic_seg"] == 7).tolist()
        assert bool(places) == bool(found) and (not found or places == [[inner_row, inner_column]])


def test_scales_are_the_published_ones():
    for low, high, smallest, largest, number in GOLDEN["scale_ranges"]:
        factors = RandomScale(low, high).factors
        assert len(factors) == number
        assert (factors[0], factors[-1]) == pytest.approx((smallest, largest), abs=1e-12)


@pytest.mark.parametrize("case", range(len(GOLDEN["src_cases"])))
def test_source_crops_are_the_published_ones(case):
    step, top, left, flip = GOLDEN["src_cases"][case].tolist()
    image = gen.image_u8(7100, (8, 3, 64, 128), 16)[0, ::-1].transpose(1, 2, 0)  # blue, green, red
    label = gen.label(7101, (8, 1, 64, 128), 16)[0, 0].astype(np.uint8)
    results = {"img": image, "gt_semantic_seg": label, "rng": Draws(step)}
    results = RandomScale(0.5, 1.5)(results)
    box = (slice(top, top + 48), slice(left, left + 80))
    results.update(img=results["img"][box], gt_semantic_seg=results["gt_semantic_seg"][box])
    inside = results["img"].shape[:2]
    results = Pad((48, 80))({**results, "rng": Draws(0.0 if flip < 0 else 1.0)})
    pixels = (results["img"].astype(np.float32) / 255 - MEAN) / STD
    pixels[inside[0] :] = 0  # as the data preprocessor does
    pixels[:, inside[1] :] = 0
    results = RandomFlip()({**results, "img": pixels})
    found = results["img"].transpose(2, 0, 1)
    np.testing.assert_allclose(found[:, ::2, ::2], GOLDEN[f"src{case}_img_s2"], atol=1e-5)
    np.testing.assert_allclose(gen.digest(found), GOLDEN[f"src{case}_img_digest"], rtol=1e-5, atol=0.02)
    np.testing.assert_array_equal(results["gt_semantic_seg"], GOLDEN[f"src{case}_label"])


@pytest.mark.parametrize("key", sorted(key for key in GOLDEN if key.startswith("source_") and "first" in key))
def test_source_images_are_the_published_ones(key):
    number, portion, seed = (int(part.removeprefix("seed")) for part in key.split("_")[1:4])
    chosen = choose_source(number, portion / 1e4, seed)
    assert chosen[:20].tolist() == GOLDEN[key].tolist()
    np.testing.assert_allclose(gen.digest(chosen), GOLDEN[key.replace("first20", "digest")], rtol=1e-12)


def test_a_larger_portion_of_the_source_begins_with_the_smaller_one():
    small, large = (choose_source(500, portion, 3) for portion in (0.1, 0.25))
    assert len(small) == 50 and len(large) == 125
    np.testing.assert_array_equal(large[:50], small)


# ------------------------------------------------------------------------------------------------- transforms


def test_mining_crop_draws_classes_and_pixels_alike():
    label = np.zeros((8, 40), np.uint8)
    label[4, 3], label[4, 20:30] = 1, 2
    crop, rng = MiningCrop((2, 2), probability=0.5), np.random.RandomState(0)
    drawn = {"mined": 0, 1: 0, 2: 0}
    for _ in range(2000):
        results = {"img": np.zeros((8, 40, 3), np.uint8), "gt_semantic_seg": label, "rng": rng}
        result = crop({**results, "rare_classes": (2, 1)})
        c = int(result["gt_semantic_seg"][1, 1])  # the pixel it was cut around
        drawn["mined"] += c > 0
        drawn[c] = drawn.get(c, 0) + 1
    assert drawn[1] == pytest.approx(500, abs=80) and drawn[2] == pytest.approx(500, abs=90)


@pytest.mark.parametrize("rare", [(), (2,)])
def test_mining_crop_without_rare_pixels_is_a_random_crop(rare):
    label = np.zeros((30, 40), np.uint8)
    results = {"img": np.indices((30, 40, 3))[1].astype(np.uint8), "gt_semantic_seg": label}
    crop = MiningCrop((4, 4), probability=1.0)
    lefts = {
        int(crop({**results, "rare_classes": rare, "rng": np.random.RandomState(n)})["img"][0, 0, 0])
        for n in range(30)
    }
    assert len(lefts) > 10


def test_crop_around_a_pixel_stays_inside():
    assert crop_around((0, 9), (6, 10), (4, 4)) == (slice(0, 4), slice(6, 10))
    assert crop_around((3, 5), (6, 10), (8, 4)) == (slice(0, 8), slice(3, 7))


@pytest.mark.parametrize(
    "resize", [Resize((24, 20), keep_ratio=False), RandomScale(0.7, 0.7), RandomScale(1.5, 1.5)]
)
def test_soft_labels_are_resized_within_the_label(resize):
    rng = np.random.RandomState(0)
    label = rng.choice([0, 1, 255], (32, 40)).astype(np.uint8)
    soft = rng.dirichlet(np.ones(5), (32, 40)).astype(np.float32) * (label != 255)[..., None]
    image = rng.randint(0, 256, (32, 40, 3)).astype(np.uint8)
    result = resize({"img": image, "gt_semantic_seg": label, "soft_label": soft, "rng": rng})
    total = result["soft_label"].sum(-1)
    assert result["soft_label"].shape == (*result["gt_semantic_seg"].shape, 5)
    np.testing.assert_array_equal(total[result["gt_semantic_seg"] == 255], 0)
    np.testing.assert_allclose(total[result["gt_semantic_seg"] != 255], 1, atol=1e-5)


@pytest.mark.parametrize(
    "build, message",
    [
        (lambda: MiningCrop((4, 4), probability=2), "MiningCrop probability=2"),
        (lambda: RandomScale(0, 1), "RandomScale low=0"),
        (lambda: RandomScale(1.5, 0.5), "low=1.5, high=0.5"),
    ],
)
def test_bad_settings_of_rounds_transforms(build, message):
    with pytest.raises(ConfigError, match=message):
        build()


# -------------------------------------------------------------------------------------------------- data sets


def images_of(folder, number, labelled):
    rng = np.random.RandomState(len(str(folder)))
    for part in ("img", "ann") if labelled else ("img",):
        (folder / part / "town").mkdir(parents=True)
    for i in range(number):
        cv2.imwrite(str(folder / f"img/town/{i}.png"), rng.randint(0, 256, (*SIZE, 3)).astype(np.uint8))
        if labelled:
            cv2.imwrite(str(folder / f"ann/town/{i}.png"), rng.randint(0, 3, SIZE).astype(np.uint8))
    return folder


def part(folder, labelled, crop):
    steps = [
        dict(type="LoadImage"),
        dict(type="RandomScale", low=0.8, high=1.2),
        crop,
        dict(type="RandomFlip"),
    ]
    return dict(
        type="CustomDataset", data_root=str(folder), img_dir="img", classes=CLASSES, palette=PALETTE,
        pipeline=[*steps, dict(type="Pad", size=16), dict(type="PackInputs")],
        **(dict(ann_dir="ann") if labelled else {}),
    )  # fmt: skip


@pytest.fixture(scope="module")
def domains(tmp_path_factory):
    root = tmp_path_factory.mktemp("rounds")
    source = part(images_of(root / "source", 10, True), True, dict(type="RandomCrop", crop_size=16))
    source["pipeline"].insert(1, dict(type="LoadLabel"))
    target = part(images_of(root / "target", NUM, False), False, dict(type="MiningCrop", crop_size=16))
    target["id_map"] = {7: 0, 8: 1, 9: 2}  # of the data's own labels
    return source, target


@pytest.fixture
def labels_of(tmp_path):
    """A folder of a round: image i has class i mod 3 in its left half, and nothing in its right half."""

    def write(round=0, soft=False, names=None, rare=(), splits=None, classes=CLASSES):
        folder = tmp_path / f"rounds/{round}"
        names = [f"town/{i}" for i in range(NUM)] if names is None else names
        for i, name in enumerate(names):
            label = torch.full(SIZE, 255, dtype=torch.uint8)
            label[:, :16] = (i + round) % 3
            values = torch.full((3, *SIZE), 0.2)
            values[(i + round) % 3] = 0.6
            write_label(folder, name, ImageLabel(label, values if soft else None))
        summary = dict(round=round, weights="0", classes=list(classes), soft=soft, rare_classes=list(rare))
        write_summary(folder, {**summary, "labelled_images": len(names)}, splits or {})
        return RoundLabels.read(folder)

    return write


def copied(domains):
    return copy.deepcopy(domains)


def names_of(dataset, first, number):
    samples = [dataset[i] for i in range(first, first + number)]
    return [(bool(sample["from_target"]), sample["img_metas"]["name"]) for sample in samples]


def test_a_pass_of_a_round_shows_each_image_once(domains, labels_of):
    dataset = SelfTrainingDataset(*copied(domains), source_portions=(0.2, 0.5), seed=3)
    dataset.begin_round(labels_of(0), 100)
    assert len(dataset) == NUM + 2
    passes = [names_of(dataset, 100 + start, NUM + 2) for start in (0, NUM + 2)]
    expected = {(False, f"town/{i}") for i in map(int, choose_source(10, 0.2, 3))}
    expected |= {(True, f"town/{i}") for i in range(NUM)}
    for shown in passes:
        assert len(shown) == len(set(shown)) and set(shown) == expected
    assert passes[0] != passes[1], "each pass has an order of its own"
    dataset.begin_round(labels_of(1), 116)
    later = names_of(dataset, 116, NUM + 5)
    assert expected < set(later) and len(later) == len(set(later)) == NUM + 5
    dataset.begin_round(labels_of(5), 200)
    assert len(dataset) == NUM + 5, "the last portion holds for further rounds"


def test_source_images_drawn_anew_in_each_round(domains, labels_of):
    dataset = SelfTrainingDataset(*copied(domains), source_portions=0.3, source_choice="anew", seed=3)
    for round in (0, 1):
        dataset.begin_round(labels_of(round), 0)
        assert dataset.chosen.tolist() == choose_source(10, 0.3, 3 + 1 + round).tolist()


def test_a_sample_depends_on_seed_round_and_position_alone(domains, labels_of):
    def sample(position, round=1, seed=0, before=()):
        dataset = SelfTrainingDataset(*copied(domains), seed=seed)
        for earlier in before:
            dataset.begin_round(labels_of(earlier), 0)
        dataset.begin_round(labels_of(round), 40)
        return dataset[position]

    one, other = sample(45), sample(45, before=(0,))
    assert one["img_metas"] == other["img_metas"] and torch.equal(one["img"], other["img"])
    assert torch.equal(one["gt_semantic_seg"], other["gt_semantic_seg"])
    for different in (sample(46), sample(45, seed=1)):
        assert not torch.equal(one["img"], different["img"])
    orders = set()
    for round in (0, 1):
        dataset = SelfTrainingDataset(*copied(domains))
        dataset.begin_round(labels_of(round), 0)
        orders.add(tuple(names_of(dataset, 0, len(dataset))))
    assert len(orders) == 2, "each round has an order of its own"


def test_target_samples_have_the_labels_of_the_round(domains, labels_of):
    dataset = SelfTrainingDataset(*copied(domains), source_portions=0.0)
    for round in (0, 1):
        dataset.begin_round(labels_of(round), 0)
        labelled = 0
        for position in range(NUM):
            sample = dataset[position]
            index = int(sample["img_metas"]["name"].removeprefix("town/"))
            assert set(sample["gt_semantic_seg"].unique().tolist()) <= {(index + round) % 3, 255}
            labelled += int((sample["gt_semantic_seg"] != 255).sum())
            assert "soft_label" not in sample and sample["from_target"].dtype == torch.bool
        assert labelled > 100


def test_crops_look_for_the_rare_classes_of_the_round(domains, labels_of):
    source, target = copied(domains)
    target["pipeline"] = [
        dict(step, crop_size=2) if "crop_size" in step else step for step in target["pipeline"]
    ]
    target["pipeline"] = [step for step in target["pipeline"] if step["type"] != "Pad"]
    dataset = SelfTrainingDataset(source, target, source_portions=0.0)
    shares = {}
    for rare in ((), (1,)):
        dataset.begin_round(labels_of(0, rare=rare), 0)
        of_class = [i for i in range(60 * NUM) if int(dataset_name(dataset, i)) % 3 == 1]
        samples = [dataset[i] for i in of_class]
        shares[rare] = np.mean([bool((s["gt_semantic_seg"] == 1).any()) for s in samples])
    assert shares[()] < 0.7 and shares[1,] > 0.85
    assert dataset.source.rare_classes == (1,), "of the source as well, if its pipeline looks for them"


def dataset_name(dataset, position):
    """Number of the image at a position, without loading it."""
    epoch, place = divmod(position, len(dataset))
    return epoch_permutation(dataset.seed, epoch, len(dataset), dataset.labels.round)[place]


def test_soft_labels_reach_the_batch(domains, labels_of):
    dataset = SelfTrainingDataset(*copied(domains), source_portions=0.5)
    dataset.begin_round(labels_of(0, soft=True), 0)
    samples = [dataset[i] for i in range(len(dataset))]
    batch = UDABatch.from_dict(SegDataPreprocessor()(seg_collate(samples), training=True))
    assert batch.from_target.shape == (11,) and batch.from_target.sum() == NUM
    assert batch.soft_label.shape == (11, 3, 16, 16) and batch.target_img is batch.img
    assert batch.gt_semantic_seg.dtype == torch.int64 and batch.target_label is batch.gt_semantic_seg
    labelled = batch.gt_semantic_seg != 255
    torch.testing.assert_close(batch.soft_label.sum(1), labelled.float())
    largest = batch.soft_label.max(dim=1)
    assert torch.equal(largest.indices[labelled], batch.gt_semantic_seg[labelled])
    expected = torch.where(batch.from_target, 0.6, 1.0).view(-1, 1, 1).expand(-1, 16, 16)
    torch.testing.assert_close(largest.values[labelled], expected[labelled], atol=1e-4, rtol=0)


def test_pairs_carry_labels_of_the_round_and_streams_stay(domains, labels_of):
    plain, rounds = (UDADataset(*copied(domains), seed=5) for _ in range(2))
    rounds.begin_round(labels_of(1), 0)
    for position in range(8):
        one, other = plain[position], rounds[position]
        assert "target_label" not in one and torch.equal(one["img"], other["img"])
        assert torch.equal(one["target_img"], other["target_img"])
        index = int(other["target_img_metas"]["name"].removeprefix("town/"))
        assert set(other["target_label"].unique().tolist()) <= {(index + 1) % 3, 255}
    batch = UDABatch.from_dict(SegDataPreprocessor()(seg_collate([rounds[0], rounds[1]]), training=True))
    assert batch.target_label.shape == (2, 16, 16) and batch.target_label.dtype == torch.int64
    assert batch.from_target is None


def test_soft_labels_of_pairs_are_refused(domains, labels_of):
    with pytest.raises(
        ConfigError, match=r"gives soft labels \(.*pairs of UDADataset.*'SelfTrainingDataset'"
    ):
        UDADataset(*copied(domains)).begin_round(labels_of(0, soft=True), 0)


def test_easy_images_are_the_source_of_hard_ones(domains, labels_of):
    easy, hard = [f"town/{i}" for i in (0, 3, 4)], [f"town/{i}" for i in (1, 2, 5)]
    dataset = EasyHardDataset(copied(domains)[1], seed=1)
    with pytest.raises(ConfigError, match="which images are easy"):
        dataset[0]
    dataset.begin_round(labels_of(0, names=easy, splits=dict(easy=easy, hard=hard)), 0)
    pairs = [dataset[i] for i in range(30)]
    assert {pair["img_metas"]["name"] for pair in pairs} == set(easy)
    assert {pair["target_img_metas"]["name"] for pair in pairs} == set(hard)
    assert {int(c) for pair in pairs for c in pair["gt_semantic_seg"].unique()} == {0, 1, 2, 255}
    assert all("target_label" not in pair for pair in pairs)


def test_what_data_of_a_round_refuse(domains, labels_of):
    with pytest.raises(ConfigError, match=r"SelfTrainingDataset has no labels.*expected rounds=dict"):
        SelfTrainingDataset(*copied(domains))[0]
    for settings in (dict(source_portions=1.5), dict(source_portions=[]), dict(source_choice="new")):
        with pytest.raises(ConfigError, match=r"source_portions=.*'cumulative' or 'anew'"):
            SelfTrainingDataset(*copied(domains), **settings)
    dataset = SelfTrainingDataset(*copied(domains))
    with pytest.raises(DataError, match=r"town/5.png: is missing"):
        dataset.begin_round(labels_of(0, names=[f"town/{i}" for i in range(5)]), 0)
    with pytest.raises(DataError, match="holds labels of 2 classes"):
        dataset.begin_round(labels_of(1, classes=("a", "b")), 0)
    pairs = EasyHardDataset(copied(domains)[1])
    with pytest.raises(DataError, match="holds no hard images"):
        pairs.begin_round(labels_of(2, splits=dict(easy=["town/0"], hard=[])), 0)
    with pytest.raises(DataError, match="1 of 1 named images are not in the data set, for example 'other'"):
        pairs.begin_round(labels_of(3, splits=dict(easy=["other"], hard=["town/0"])), 0)


def test_labels_of_a_round_replace_those_of_the_data(domains, labels_of):
    source = CustomDataset(**{key: value for key, value in copied(domains)[0].items() if key != "type"})
    before = source.samples[0].seg_map_path
    labelled = source.subset([f"town/{i}" for i in (2, 0)]).with_labels(labels_of(0, rare=(2,)))
    assert [sample.name for sample in labelled.samples] == ["town/0", "town/2"]
    assert labelled.has_labels and labelled.rare_classes == (2,)
    assert "rounds/0/labels" in labelled.samples[0].seg_map_path
    assert source.samples[0].seg_map_path == before and not source.rare_classes
