"""Labellers: thresholds, selections and rankings of the published code, and what holds for any input."""

import itertools
import math

import numpy as np
import pytest
import torch
from golden_data import gen, load
from hypothesis import given, settings
from hypothesis import strategies as st
from rounds_inputs import prior, probability_maps, softmax

from mmseg.errors import ConfigError, DataError
from mmseg.labelling import (
    ClassBalanced,
    ClassQuantile,
    EasyHard,
    EntropyRanking,
    GlobalThreshold,
    SoftClassBalanced,
    Voting,
)
from mmseg.labelling.confidences import Confidences, every_nth_of_class
from mmseg.labelling.easy_hard import Densified, image_confidence
from mmseg.labelling.entropy_ranking import RARE_CLASSES, mean_entropy
from mmseg.labelling.spatial_prior import SpatialPrior
from mmseg.labelling.voting import ByVoting, pooled_neighbours
from mmseg.registry import LABELLERS

THRESHOLDS = load("survey/rounds/st_thresholds")
SELECTIONS = load("survey/rounds/st_select")


@pytest.fixture(scope="module")
def maps():
    return torch.from_numpy(probability_maps())


@pytest.fixture(scope="module")
def prior_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("prior") / "prior.npz"
    SpatialPrior(torch.from_numpy(prior())).write(path)
    return str(path)


def choice_of(labeller, maps, round=0):
    """What a labeller decides about images 0, 1, …"""
    program = labeller.choose(round, len(maps[0]))
    while True:
        try:
            survey = next(program)
        except StopIteration as end:
            return end.value
        for index, probabilities in enumerate(maps):
            survey.add(str(index), probabilities)
        survey.merge()


def labels_of(choice, maps):
    return np.stack([choice.label(str(index), each).label.numpy() for index, each in enumerate(maps)])


def counts_of(labels, num_classes=19):
    """Pixels per image and class; the last column counts those without label."""
    shown = np.where(labels == 255, num_classes, labels).reshape(len(labels), -1)
    return np.stack([np.bincount(each, minlength=num_classes + 1) for each in shown])


# ------------------------------------------------------------------------------------ the published code


def test_inputs_are_those_of_the_stored_numbers(maps):
    assert np.allclose([gen.digest(each) for each in maps], THRESHOLDS["input_digest"], rtol=1e-12)
    assert np.allclose(gen.digest(prior()), THRESHOLDS["prior_digest"], rtol=1e-12)


@pytest.mark.parametrize("exact", [True, False], ids=["exact", "histogram"])
@pytest.mark.parametrize("stride", [1, 4])
@pytest.mark.parametrize("percent", [5, 20, 35, 50, 100])
def test_thresholds_of_crst(maps, percent, stride, exact):
    choice = choice_of(ClassBalanced(percent / 100, stride, exact=exact), maps)
    stored = {
        key: THRESHOLDS[f"crst_ds{stride}_p{percent}_{key}"] for key in ("thresh", "rare_id", "mine_id")
    }
    excess = stored["thresh"] - np.float32(choice.summary["thresholds"])
    assert excess.min() >= 0 and excess.max() <= (0 if exact else 1 / 65536)
    assert choice.summary["rare_classes"] == stored["mine_id"].tolist()
    assert choice.summary["rarest_classes"] == stored["rare_id"].tolist()
    assert choice.summary["predicted_pixels"] == THRESHOLDS[f"crst_ds{stride}_pred_cls_num"].tolist()
    assert choice.summary["confidences"] == THRESHOLDS[f"crst_ds{stride}_collected"].tolist()
    if stride == 4:
        labels = labels_of(choice, maps)
        differences = np.abs(counts_of(labels) - SELECTIONS[f"crst_p{percent}_hard_counts"])
        assert differences.sum() / 2 <= (0 if exact else 1e-4 * labels.size)  # moved between two counts
        if percent in (20, 50):
            share = np.mean(labels == SELECTIONS[f"crst_p{percent}_hard"])
            assert share == 1 if exact else share > 0.9999


@pytest.mark.parametrize("percent", [5, 20, 50])
@pytest.mark.parametrize("case", ["cbst", "cbstsp", "st", "stsp"])
def test_thresholds_and_labels_of_cbst(maps, prior_file, case, percent):
    labeller = GlobalThreshold if case.startswith("st") else ClassBalanced
    file = prior_file if case.endswith("sp") else None
    options = dict(portion=percent / 100, stride=4, prior=file, published_zeros=True)
    choice = choice_of(labeller(exact=True, **options), maps)
    stored = THRESHOLDS[f"{case}_p{percent}_cls_thresh"]
    assert choice.summary["thresholds"] == np.where(stored == 0, 1, stored).tolist()
    if case.startswith("cbst"):
        assert choice.summary["rare_classes"] == THRESHOLDS[f"{case}_p{percent}_mine_id_priority"].tolist()
        assert choice.summary["rarest_classes"] == THRESHOLDS[f"{case}_p{percent}_mine_id"].tolist()
    labels = labels_of(choice, maps)
    assert np.array_equal(counts_of(labels), SELECTIONS[f"{case}_p{percent}_counts"])
    if percent == 20:
        assert np.array_equal(labels, SELECTIONS[f"{case}_p20"])
    binned = choice_of(labeller(**options), maps)
    excess = np.subtract(choice.summary["thresholds"], binned.summary["thresholds"])
    assert excess.min() >= 0 and excess.max() < binned.summary["bin_width"] <= 2 / 65536
    assert np.mean(labels_of(binned, maps) == labels) > 0.9999


def test_sixteen_classes():
    maps = torch.from_numpy(probability_maps(16))
    choice = choice_of(ClassBalanced(0.2, published_zeros=True, exact=True), maps)
    assert choice.summary["thresholds"] == THRESHOLDS["cbst16_p20_cls_thresh"].tolist()
    assert choice.summary["rare_classes"] == THRESHOLDS["cbst16_p20_mine_id_priority"].tolist() == []
    assert choice.summary["rarest_classes"] == THRESHOLDS["cbst16_p20_mine_id"].tolist()
    assert np.array_equal(labels_of(choice, maps), SELECTIONS["cbst16_p20"])


@pytest.mark.parametrize("percent", [20, 50])
def test_soft_labels_of_crst(maps, percent):
    choice = choice_of(SoftClassBalanced(alpha=0.25, portion=percent / 100, exact=True), maps)
    assert np.array_equal(labels_of(choice, maps), SELECTIONS[f"crst_p{percent}_lrent25"])
    soft = np.stack([choice.soft(each)[0].numpy() for each in maps])  # the published code masks it later
    digests = np.stack([gen.digest(each) for each in soft])
    assert np.allclose(digests, SELECTIONS[f"crst_p{percent}_soft_digest"], rtol=1e-5)
    if percent == 20:
        assert np.abs(soft[:, :, ::8, ::8] - SELECTIONS["crst_p20_soft_s8"]).max() < 2e-6
    image = choice.label("3", maps[3])
    assert np.array_equal(image.soft, soft[3] * (image.label != 255).numpy())


def test_confidence_and_full_labels_of_tpld(maps):
    """Formulas of the paper in float64; there is no published code."""
    stored, limits = load("survey/rounds/tpld"), torch.from_numpy(THRESHOLDS["crst_ds4_p20_thresh"])
    found = [image_confidence(each, limits).item() for each in maps]
    assert np.allclose(found, stored["tpld_conf"], rtol=1e-9)
    densified = Densified(2.0, {"easy": [], "hard": []}, thresholds=limits.tolist())
    digests = [gen.digest(densified.full(each.double()).soft) for each in maps]
    assert np.allclose(digests, stored["tpld_full_digest"], rtol=1e-9)
    labeller = EasyHard(portion=0.2, exact=True)
    for round, share in enumerate((30, 35, 40, 40)):
        choice = choice_of(labeller, maps, round)
        assert choice.splits["easy"] == [str(index) for index in stored[f"tpld_easy_{share}"]]
        assert sorted(choice.splits["easy"] + choice.splits["hard"]) == list("01234567")
    assert choice.label("0", maps[0]) is None and (choice.label("7", maps[7]).label != 255).all()


def test_entropy_ranking_of_intrada():
    """Nine images of more and more entropy at random, the first of which have ever more rare classes."""
    order = [(5 * index) % 9 for index in range(9)]
    maps, entropies, rare = [], [], []
    for index in range(9):
        logits = (0.5 + 0.35 * order[index]) * gen.feats(7600 + index, [(19, 65, 129)])[0]
        logits[list(RARE_CLASSES[:index])] = -50
        probabilities = softmax(logits.astype(np.float64))
        maps.append(torch.from_numpy(probabilities.astype(np.float32)))
        entropies.append(np.mean(-probabilities * np.log2(probabilities + 1e-30)) / math.log2(19))
        rare.append(len(set(RARE_CLASSES) & set(probabilities.argmax(0).ravel().tolist())))
    assert rare == [11 - index for index in range(9)]
    found = [mean_entropy(each).item() for each in maps]
    assert np.allclose(found, entropies, rtol=2e-5) and max(found) < 1 / 19
    normalized = [entropy * ((11 - r) / 11 + 0.5) for entropy, r in zip(entropies, rare, strict=True)]
    for values, normalize in ((entropies, False), (normalized, True)):
        choice = choice_of(EntropyRanking(0.67, normalize), maps)
        ascending = [str(index) for index in np.argsort(values)]
        assert choice.splits == {"easy": ascending[:6], "hard": ascending[6:]}
    easy = choice.splits["easy"][0]
    assert np.array_equal(choice.label(easy, maps[int(easy)]).label, maps[int(easy)].argmax(0))
    assert choice.label(choice.splits["hard"][0], maps[0]) is None
    assert np.argsort(entropies).tolist() != np.argsort(normalized).tolist()


def test_split_sizes_are_those_of_the_paper():
    choice = choice_of(EntropyRanking(0.67), [torch.full((2, 1, 1), 0.5)] * 2975)
    assert (len(choice.splits["easy"]), len(choice.splits["hard"])) == (1993, 982)


# ----------------------------------------------------------------------------------------- any distribution

CONFIDENCES = st.lists(
    st.tuples(st.integers(0, 3), st.one_of(st.floats(0, 1, width=32), st.sampled_from([0.25, 0.5, 1.0]))),
    min_size=1, max_size=60,
)  # fmt: skip
PORTIONS = st.one_of(st.floats(0, 1), st.sampled_from([0.1, 0.2, 0.5, 1.0]))


def as_map(confidences):
    """A map (5, N, 1) whose pixels are predicted to be of these classes with these confidences."""
    probabilities = torch.zeros(5, len(confidences), 1)
    for pixel, (index, value) in enumerate(confidences):
        probabilities[index, pixel] = value
    return probabilities


def predicted_confidences(probabilities):
    best, predicted = probabilities.max(dim=0)
    return [best[predicted == index] for index in range(len(probabilities))]


@settings(deadline=None)
@given(CONFIDENCES, PORTIONS)
def test_histogram_thresholds_are_within_a_bin_of_the_exact_ones(confidences, portion):
    probabilities = as_map(confidences)
    exact, binned = Confidences(5, exact=True), Confidences(5)
    for survey in (exact, binned):
        survey.add("", probabilities)
        survey.merge()
    assert exact.sizes == binned.sizes
    width = binned.bin_width
    pairs = [*zip(exact.thresholds(portion), binned.thresholds(portion), strict=True)]
    pairs.append((exact.shared_threshold(portion), binned.shared_threshold(portion)))
    for index, (right, found) in enumerate(pairs):
        values = torch.cat(predicted_confidences(probabilities)) if index == 5 else (
            predicted_confidences(probabilities)[index])  # fmt: skip
        rank = math.floor(len(values) * portion)
        if rank and values.sort(descending=True).values[rank - 1] == 0:
            assert (right, found) == (1.0, width)  # neither selects confidences of 0
        else:
            assert right - width < found <= max(right, width)
            extra = values[(values >= found) & (values < right)]
            assert len(values[values >= found]) >= rank or right < width
            assert (extra > right - width).all(), "what is selected in addition shares the last bin"


@settings(deadline=None)
@given(CONFIDENCES, PORTIONS)
def test_exact_thresholds_select_the_portion(confidences, portion):
    probabilities = as_map(confidences)
    survey = Confidences(5, exact=True)
    survey.add("", probabilities)
    for values, threshold in zip(
        predicted_confidences(probabilities), survey.thresholds(portion), strict=True
    ):
        rank = math.floor(len(values) * portion)
        if rank == 0 or values.sort(descending=True).values[rank - 1] == 0:
            assert threshold == 1, "an absent class, or less than a pixel"
        else:
            assert (values > threshold).sum() < rank <= (values >= threshold).sum(), "ties belong together"


@given(st.lists(st.integers(0, 4), min_size=1, max_size=40), st.integers(1, 6))
def test_every_nth_pixel_of_each_class(predicted, stride):
    classes = torch.tensor(predicted)
    kept = every_nth_of_class(classes, classes.bincount(minlength=5), stride)
    expected = [i for k in range(5) for i in [i for i, c in enumerate(predicted) if c == k][::stride]]
    assert kept.tolist() == expected


# ---------------------------------------------------------------------------------------------------- voting


def test_neighbours_vote():
    """Class 1 spreads from its sure pixel by one pixel a pass, as far as the votes reach its threshold."""
    probabilities = torch.full((3, 1, 6), 0.1)
    probabilities[1] = torch.tensor([1.0, 0.75, 0.79, 0.4, 0.4, 0.75])
    for passes, expected in enumerate(
        (
            [1, 255, 255, 255, 255, 255],
            [1, 1, 255, 255, 255, 255],  # 0.7 · 0.75 + 0.3 · 1 = 0.825 > 0.8
            [1, 1, 1, 255, 255, 255],  # 0.7 · 0.79 + 0.3 · 0.825 = 0.8005 > 0.8
            [1, 1, 1, 255, 255, 255],  # 0.7 · 0.4 + 0.3 · 0.8005 is less; the last pixel has no neighbour
        )
    ):
        choice = ByVoting(passes, 3, "mean", 0.7, [0.9, 0.8, 0.9])
        assert choice.label("", probabilities).label.tolist() == [expected]


@pytest.mark.parametrize("pooling", ["mean", "max"])
def test_neighbours_are_pooled_in_a_window(pooling):
    generator = torch.Generator().manual_seed(0)
    values = torch.rand(5, 6, generator=generator)
    label = torch.randint(0, 4, (5, 6), generator=generator)
    label[label == 3] = 255
    candidates = torch.randint(0, 3, (2, 5, 6), generator=generator)
    found = pooled_neighbours(values, label, candidates, 3, pooling)
    for n, y, x in itertools.product(range(2), range(5), range(6)):
        window = (slice(max(y - 1, 0), y + 2), slice(max(x - 1, 0), x + 2))
        votes = values[window][label[window] == candidates[n, y, x]]
        expected = (votes.mean() if pooling == "mean" else votes.max()) if len(votes) else torch.tensor(0.0)
        assert torch.allclose(found[n, y, x], expected)


def test_voting_only_adds_labels(maps):
    plain = labels_of(choice_of(ClassBalanced(0.2), maps), maps)
    voted = labels_of(choice_of(Voting(portion=0.2), maps), maps)
    chosen = plain != 255
    assert np.array_equal(voted[chosen], plain[chosen])
    assert 0.01 < (voted != 255).mean() - chosen.mean() < 0.1


# ------------------------------------------------------------------------------------- arguments and priors


def test_portion_of_a_round(maps):
    labeller = ClassBalanced([0.2, 0.35])
    portions = [choice_of(labeller, maps[:1], round).summary["portion"] for round in range(3)]
    assert portions == [0.2, 0.35, 0.35]
    assert labeller.settings == {
        "type": "ClassBalanced", "portion": [0.2, 0.35], "stride": 4, "prior": None, "rare_share": 1e-3,
        "published_zeros": False, "exact": False, "prior_digest": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(type="ClassBalanced", portion=0), r"ClassBalanced: portion=0; expected a share in \(0, 1\]"),
        (dict(type="GlobalThreshold", portion=[0.2, 1.5]), r"GlobalThreshold: portion=\[0.2, 1.5\]"),
        (dict(type="EntropyRanking", easy_share=[]), r"EntropyRanking: easy_share=\[\]; expected a share"),
        (dict(type="EasyHard", easy_share=2.0), r"EasyHard: easy_share=2.0"),
        (dict(type="EasyHard", gamma=-1.0), r"EasyHard: gamma=-1.0; expected a positive number"),
        (dict(type="ClassBalanced", stride=0), "stride=0; expected a whole number from 1 on"),
        (dict(type="SoftClassBalanced", alpha=0.0), r"alpha=0.0; expected a positive number"),
        (dict(type="ClassBalanced", rare_share=2.0), r"rare_share=2\.0; expected a share"),
        (dict(type="Voting", passes=-1), r"passes=-1; expected"),
        (dict(type="EntropyRanking", normalize=True, rare_classes=[]), r"rare_classes=\[\]; expected"),
        (dict(type="Voting", window=4), r"window=4.*expected an odd"),
        (dict(type="ClassBalanced", portoin=0.2), r"has no argument 'portoin'; did you mean 'portion'\?"),
        (
            dict(type="ClassBalancd"),
            r"'ClassBalancd' is not a registered labeller; did you mean ClassBalanced",
        ),
    ],
)
def test_wrong_settings_of_labellers_are_explained(settings, message):
    with pytest.raises(ConfigError, match=message):
        LABELLERS.build(settings)


def test_prior_of_labels():
    """Class 0 above, class 1 below, and class 2 nowhere: smoothed, each with the mean 1 or 0."""
    label = np.full((40, 60), 255, np.uint8)
    label[:10], label[20:] = 0, 1
    prior = SpatialPrior.of_labels([label, label[::2, ::2]], 3, (20, 30), window=5, sigma=1.0)
    values = prior.values
    assert torch.allclose(values[:2].mean((1, 2)), torch.ones(2)) and not values[2].any()
    assert torch.allclose(values[:2], values[:2, :, :1].expand(-1, -1, 30), atol=1e-6)
    taps = np.exp(-(np.arange(-2, 3) ** 2) / 2)
    edge = np.convolve([1.0] * 7 + [0.0] * 7, taps / taps.sum(), "valid")
    assert np.allclose(values[0, 2:10, 0] / values[0, 0, 0], [1, *edge[3:10]], atol=1e-6)


def test_prior_fits_images_of_other_sizes():
    prior = SpatialPrior(torch.tensor([[[0.5, 1.5]], [[2.0, 0.0]]]))
    assert prior.largest == 2
    weighed = prior.weigh(torch.full((2, 1, 4), 0.5))
    assert torch.allclose(weighed, torch.tensor([[[0.25, 0.375, 0.625, 0.75]], [[1.0, 0.75, 0.25, 0.0]]]))
    assert torch.equal(prior.weigh(torch.ones(2, 1, 2)), prior.values), "another size after the first"
    with pytest.raises(DataError, match="spatial prior of 2 classes for probabilities of 3"):
        prior.weigh(torch.ones(3, 1, 2))


def test_wrong_priors_are_explained(tmp_path):
    with pytest.raises(DataError, match=r"none\.npz: is no spatial prior .*make_spatial_prior\.py"):
        ClassBalanced(prior=str(tmp_path / "none.npz"))
    for values in (np.zeros((2, 3, 4), np.float32), np.ones((3, 4)), np.full((1, 2, 2), -1.0)):
        np.savez(tmp_path / "prior.npz", prior=values)
        with pytest.raises(DataError, match=r"prior\.npz: is no spatial prior"):
            SpatialPrior.read(tmp_path / "prior.npz")
    with pytest.raises(DataError, match="no pixel of the labels has a class"):
        SpatialPrior.of_labels([np.full((4, 4), 255, np.uint8)], 2, (4, 4))


@pytest.mark.parametrize("labeller", [EntropyRanking, lambda share: EasyHard(portion=0.2, easy_share=share)])
def test_shares_that_leave_no_easy_or_hard_images_are_found_before(labeller):
    labeller(0.3).check_images(3, 4, trains=True)
    labeller(1.0).check_images(3, 4, trains=False)
    with pytest.raises(ConfigError, match=r"easy_share=0\.2 of 4 images are 0 .*no easy images in round 2"):
        labeller([0.3, 0.2]).check_images(2, 4, trains=False)
    with pytest.raises(ConfigError, match=r"easy_share=1\.0 of 4 images are 4 .*no hard images in round 1"):
        labeller(1.0).check_images(1, 4, trains=True)


# ------------------------------------------------------------------------------------------------------- FDA


def maps_of_fda():
    """The stored mean of three networks at the size of the labels."""
    for image in (0, 1):
        (common,) = gen.feats(90 + image, [(1, 19, 9, 17)])
        mean = torch.zeros(1, 19, 65, 129)
        for network, weight in enumerate((0.3333, 0.3333, 0.3334)):
            (own,) = gen.feats(95 + 10 * network + image, [(1, 19, 9, 17)])
            logits = torch.from_numpy(8 * common + own)
            scores = torch.nn.functional.interpolate(logits, (65, 129), mode="bilinear", align_corners=True)
            mean += weight * scores.softmax(dim=1)
        yield torch.nn.functional.interpolate(mean, (512, 1024), mode="bilinear", align_corners=True)[0]


@pytest.mark.parametrize("exact", [True, False])
def test_labels_of_fda_are_the_published_ones(exact):
    golden, maps = load("domains/fda_pseudo_labels"), list(maps_of_fda())
    choice = choice_of(ClassQuantile(exact=exact), maps)
    tolerance = 1e-6 if exact else 2e-5
    assert choice.summary["quantiles"] == pytest.approx(golden["quantiles_f64"].tolist(), abs=tolerance)
    assert choice.summary["thresholds"] == pytest.approx(golden["thresholds_f64"].tolist(), abs=tolerance)
    labels = labels_of(choice, maps)
    assert (labels[:, ::8, ::8] == golden["labels_s8"]).mean() >= (1 if exact else 0.9995)
    histogram = np.bincount(labels.reshape(-1), minlength=256)
    assert np.abs(histogram - golden["labels_histogram"]).max() <= (0 if exact else 60)


def test_a_class_of_one_pixel_needs_the_largest_threshold():
    """The published code fails there."""
    map = torch.tensor([[[0.95, 0.6, 0.7]], [[0.05, 0.4, 0.3]], [[0.0, 0.0, 0.0]]])
    lonely = torch.tensor([[[0.2]], [[0.8]], [[0.0]]])
    choice = choice_of(ClassQuantile(exact=True), [torch.cat([map, lonely], dim=2)])
    assert choice.summary["thresholds"] == pytest.approx([0.9, 0.9, 0.9])
    assert choice.label("0", map).label.tolist() == [[0, 255, 255]]


@pytest.mark.parametrize("bad", [dict(quantile=1.1), dict(largest_threshold=-0.1), dict(stride=0)])
def test_impossible_quantiles_are_refused(bad):
    with pytest.raises(ConfigError, match="ClassQuantile: quantile"):
        ClassQuantile(**bad)
