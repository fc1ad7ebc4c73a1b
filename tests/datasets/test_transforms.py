"""Pipelines: stored results of the published implementation, and invariants over random inputs."""

from collections import Counter

import cv2
import numpy as np
import pytest
import torch
from golden_data import gen, load
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from mmseg.datasets import CityscapesDataset, CustomDataset
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.datasets.pseudo_margins import PseudoMargins
from mmseg.datasets.transforms import (
    PackInputs,
    Pad,
    PhotoMetricDistortion,
    RandomCrop,
    RandomFlip,
    RandomResolution,
    Resize,
)
from mmseg.errors import ConfigError
from mmseg.registry import TRANSFORMS

# name: seed, height, width, box (width, height), crop, cat_max_ratio
CASES = {
    "gta": (301, 263, 479, (320, 180), (128, 128), 0.75),
    "cs": (303, 256, 512, (256, 128), (128, 128), 1.0),
    "hr": (305, 128, 256, (256, 128), (96, 96), 1.0),
    "pmd": (307, 263, 479, (320, 180), (128, 128), 0.75),
    "padded": (309, 100, 150, (120, 80), (128, 128), 0.75),
}


def pipeline(name):
    _, _, _, scale, crop, cat_max_ratio = CASES[name]
    return [
        dict(type="LoadImage"),
        dict(type="LoadLabel"),
        dict(type="Resize", scale=scale),
        dict(type="RandomCrop", crop_size=crop, cat_max_ratio=cat_max_ratio),
        dict(type="RandomFlip", prob=0.5),
        *([dict(type="PhotoMetricDistortion")] if name == "pmd" else []),
        dict(type="Pad", size=crop),
        dict(type="PackInputs"),
    ]


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden_images")
    (folder / "images").mkdir()
    (folder / "labels").mkdir()
    for name, (seed, height, width, *_) in CASES.items():
        image = gen.image_u8(seed, (1, 3, height, width), 24)[0].transpose(1, 2, 0)
        label = gen.label(seed + 1, (1, 1, height, width), 40, ignore_frac=0.1)[0, 0].astype(np.uint8)
        cv2.imwrite(str(folder / "images" / f"{name}.png"), image[..., ::-1])
        cv2.imwrite(str(folder / "labels" / f"{name}.png"), label)
    return folder


def dataset(root, name, transforms):
    split = root / f"{name}.txt"
    split.write_text(name)
    return CustomDataset(
        str(root), "images", "labels", split=str(split), classes=CITYSCAPES_CLASSES, pipeline=transforms
    )


def normalised(sample):
    """What the network sees: normalised, padding exactly 0."""
    image = (sample["img"].numpy().astype(np.float32) - gen.MEAN[0]) / gen.STD[0]
    height, width = sample["img_metas"]["img_shape"]
    image[:, height:] = 0
    image[:, :, width:] = 0
    return image


def assert_image_equal(actual, expected):
    """At most one grey level at one pixel in a thousand, which resizing of OpenCV versions may differ by."""
    difference = np.abs(actual - expected)
    assert difference.max() <= 0.06
    assert (difference > 1e-5).mean() <= 1e-3


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("draw", range(3))
def test_training_pipeline_reproduces_published_samples(root, name, draw):
    golden, seed = load("pipeline"), CASES[name][0]
    sample = dataset(root, name, pipeline(name)).get(0, np.random.RandomState(10 * seed + draw))
    key = f"{name}{draw}"
    image = normalised(sample)
    assert_image_equal(image[:, ::2, ::2], golden[f"{key}_img_s2"])
    np.testing.assert_allclose(gen.digest(image)[1:3], golden[f"{key}_img_digest"][1:3], rtol=1e-3, atol=1)
    np.testing.assert_array_equal(sample["gt_semantic_seg"].numpy(), golden[f"{key}_label"])
    metas = sample["img_metas"]
    assert metas["flip"] == golden[f"{key}_flip"]
    np.testing.assert_allclose(metas["scale_factor"], golden[f"{key}_scale_factor"][:2], rtol=1e-6)
    assert metas["ori_shape"] == CASES[name][1:3]


def test_resize_reproduces_published_image_and_label(root):
    golden = load("pipeline")
    results = dataset(root, "gta", pipeline("gta")).load(0)
    assert results["img"].shape == tuple(golden["gta_resized_shape"])
    bgr = results["img"][..., ::-1]
    assert_image_equal(bgr[::4, ::4] / 255, golden["gta_resized_bgr_s4"] / 255)
    np.testing.assert_array_equal(results["gt_semantic_seg"], golden["gta_resized_label"])


def test_resize_as_pillow_does() -> None:
    """Its bicubic filter smooths what shrinks; labels take the pixel at the centre."""
    image, label = gen.image_u8(1, (1, 3, 60, 100), 4)[0].transpose(1, 2, 0), np.arange(60 * 100) % 251
    label = label.reshape(60, 100).astype(np.uint8)
    resize = Resize((41, 30), keep_ratio=False, interpolation="bicubic", backend="pillow")
    found = resize(dict(img=image, gt_semantic_seg=label))
    expected = Image.fromarray(image).resize((41, 30), Image.Resampling.BICUBIC)
    np.testing.assert_array_equal(found["img"], np.array(expected))
    expected = Image.fromarray(label).resize((41, 30), Image.Resampling.NEAREST)
    np.testing.assert_array_equal(found["gt_semantic_seg"], np.array(expected))
    assert found["img_shape"] == (30, 41)
    with pytest.raises(ConfigError, match=r"backend='pillow'; expected one of cv2: .*; pillow: nearest, "):
        Resize((41, 30), interpolation="area", backend="pillow")


@pytest.mark.parametrize("view", range(2))
def test_test_pipeline_reproduces_published_views(root, view):
    golden = load("pipeline")
    transforms = [
        dict(type="LoadImage"),
        dict(type="Resize", scale=(256, 128)),
        dict(type="RandomFlip", prob=float(view)),
        dict(type="LoadLabel"),
        dict(type="PackInputs"),
    ]
    sample = dataset(root, "cs", transforms).get(0, np.random.RandomState(0))
    assert sample["img_metas"]["flip"] == golden[f"test{view}_flip"]
    assert_image_equal(normalised(sample)[:, ::4, ::4], golden[f"test{view}_s4"])
    assert sample["gt_semantic_seg"].shape == (256, 512), "a label loaded behind Resize keeps its own size"


@pytest.mark.parametrize("case", range(3))
@pytest.mark.parametrize("draw", range(2))
def test_pseudo_margins_reproduce_published_masks(tmp_path_factory, case, draw):
    golden = load("pseudo_margins")
    scale, crop = [((2048, 1024), 1024), ((1024, 512), 512), ((1024, 512), 256)][case]
    folder = tmp_path_factory.getbasetemp() / "margins"
    if not folder.exists():
        folder.mkdir()
        image = gen.image_u8(311, (1, 3, 1024, 2048), 64)[0].transpose(1, 2, 0)
        cv2.imwrite(str(folder / "a_leftImg8bit.png"), image)  # stored as B, G, R
    transforms = [
        dict(type="LoadImage"),
        dict(type="Resize", scale=scale),
        dict(type="RandomCrop", crop_size=crop),
        dict(type="RandomFlip"),
        dict(type="Pad", size=crop),
        dict(type="PackInputs"),
    ]
    target = CityscapesDataset(
        img_dir=str(folder), load_labels=False, crop_pseudo_margins=[30, 240, 30, 30], pipeline=transforms
    )
    sample = target.get(0, np.random.RandomState(3200 + draw))
    key, mask = f"c{case}_{draw}", sample["valid_pseudo_mask"]
    assert mask.dtype == torch.bool
    np.testing.assert_array_equal(mask[::8, ::8].numpy(), golden[f"{key}_mask"][0])
    np.testing.assert_array_equal(mask.sum(1).numpy(), golden[f"{key}_sum_rows"])
    np.testing.assert_array_equal(mask.sum(0).numpy(), golden[f"{key}_sum_cols"])
    expected = golden[f"{key}_img_digest"]
    np.testing.assert_allclose(gen.digest(normalised(sample))[:3], expected[:3], rtol=1e-4, atol=20)


def test_pseudo_margins_scale_with_the_image():
    mask = PseudoMargins((30, 240, 30, 30), CityscapesDataset.margin_reference_size).mask(256, 512)
    assert mask.sum() == (256 - 8 - 60) * (512 - 8 - 8)
    assert mask[8, 8] == 1
    assert mask[7].sum() == mask[:, 7].sum() == mask[196].sum() == 0
    assert PseudoMargins((1, 2, 3, 4)).mask(10, 20).sum() == 7 * 13


# ------------------------------------------------------------------------------------------------- invariants


def coded_sample(height, width, seed=0):
    """Image, label and mask that all tell the position of a pixel."""
    rng = np.random.RandomState(seed)
    code = rng.randint(0, 19, (height, width)).astype(np.uint8)
    return {
        "img": np.stack([code, code, code], axis=-1),
        "gt_semantic_seg": code.copy(),
        "valid_pseudo_mask": (code % 2).astype(np.uint8),
        "img_shape": (height, width),
        "flip": False,
    }


@settings(max_examples=60, deadline=None)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    crop=st.tuples(st.integers(1, 32), st.integers(1, 32)),
    cat_max_ratio=st.sampled_from([0.75, 1.0]),
    seed=st.integers(0, 2**31),
)
def test_image_label_and_mask_move_together(height, width, crop, cat_max_ratio, seed):
    results = {**coded_sample(height, width), "rng": np.random.RandomState(seed)}
    before = {key: value.copy() for key, value in results.items() if isinstance(value, np.ndarray)}
    transformed = dict(results)
    for transform in (RandomCrop(crop, cat_max_ratio), RandomFlip(), Pad(crop)):
        transformed = transform(transformed)
    image, label, mask = (transformed[key] for key in ("img", "gt_semantic_seg", "valid_pseudo_mask"))
    inside_height, inside_width = transformed["img_shape"]
    inside = np.zeros(crop, bool)
    inside[:inside_height, :inside_width] = True
    assert (inside_height, inside_width) == (min(height, crop[0]), min(width, crop[1]))
    assert image.shape[:2] == label.shape == mask.shape == tuple(crop)
    np.testing.assert_array_equal(image[inside][:, 0], label[inside])
    np.testing.assert_array_equal(mask[inside], label[inside] % 2)
    assert (image[~inside] == 0).all()
    assert (label[~inside] == 255).all()
    assert (mask[~inside] == 0).all()
    for key, value in before.items():
        np.testing.assert_array_equal(results[key], value, err_msg=f"{key} was written to")


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 300), st.integers(2, 300), st.integers(2, 300), st.integers(2, 300))
def test_resize_fills_the_box(height, width, box_long, box_short):
    results = Resize((box_long, box_short))({"img": np.zeros((height, width, 3), np.uint8)})
    new = sorted(results["img"].shape[:2])
    box = sorted((box_long, box_short))
    assert new[0] <= box[0] and new[1] <= box[1]
    assert new[0] == box[0] or new[1] == box[1]


def test_crop_looks_for_more_than_one_class():
    label = np.zeros((64, 512), np.uint8)
    label[:, -40:] = 1  # only crops at the far right show both classes, at least a quarter each
    image = np.zeros((64, 512, 3), np.uint8)
    found = 0
    for seed in range(200):
        results = {"img": image, "gt_semantic_seg": label, "rng": np.random.RandomState(seed)}
        crop = RandomCrop((64, 64), 0.75)(results)["gt_semantic_seg"]
        found += 0.25 < (crop == 1).mean() < 0.75
    # one draw succeeds with probability 25/449, one of eleven with 1 - (1 - 25/449)^11 = 0.467
    assert 0.35 < found / 200 < 0.58


def test_crop_gives_up_after_ten_further_draws():
    results = {"img": np.zeros((64, 512, 3), np.uint8), "gt_semantic_seg": np.zeros((64, 512), np.uint8)}
    rng, expected = np.random.RandomState(5), np.random.RandomState(5)
    RandomCrop((32, 32), 0.75)({**results, "rng": rng})
    for _ in range(11):
        expected.randint(0, 33)  # the row first
        expected.randint(0, 481)
    assert rng.randint(2**31) == expected.randint(2**31)


def test_photometric_distortion_draws_in_published_order():
    """Contrast is the only step that is left once the draws say so."""

    class Script:
        def __init__(self, *values):
            self.values = list(values)

        def randint(self, *bounds):
            return self.values.pop(0)

        def uniform(self, low, high):
            assert (low, high) == (0.5, 1.5)
            return self.values.pop(0)

    image = np.full((2, 2, 3), 101, np.uint8)
    script = Script(
        0, 1, 1, 1.5, 0, 0
    )  # no brightness; contrast first, on, factor 1.5; no saturation; no hue
    result = PhotoMetricDistortion()({"img": image, "rng": script})["img"]
    assert (result == 151).all(), "151.5 is rounded down"
    assert script.values == []
    assert (image == 101).all()


def test_pack_copies_what_it_packs():
    results = {**coded_sample(8, 8), "img_path": "a", "seg_map_path": None, "name": "a"}
    results |= {"ori_shape": (8, 8), "scale_factor": (1.0, 1.0)}
    sample = PackInputs()(dict(results))
    assert sample["img"].shape == (3, 8, 8) and sample["img"].dtype == torch.uint8
    assert sample["img"].is_contiguous()
    sample["gt_semantic_seg"].fill_(7)
    sample["img"].fill_(7)
    np.testing.assert_array_equal(results["gt_semantic_seg"], coded_sample(8, 8)["gt_semantic_seg"])
    np.testing.assert_array_equal(results["img"], coded_sample(8, 8)["img"])


@pytest.mark.parametrize(
    "cfg, message",
    [
        (dict(type="Resize", scale=(512,)), "scale"),
        (dict(type="RandomCrop", crop_size=(0, 512)), "crop_size"),
        (dict(type="RandomFlip", prob=50), "prob"),
        (dict(type="RandomCrop", crop_sise=(4, 4)), "crop_size"),
        (dict(type="RandomCorp", crop_size=(4, 4)), "RandomCrop"),
    ],
)
def test_wrong_arguments_are_named(cfg, message):
    with pytest.raises(ConfigError, match=message):
        TRANSFORMS.build(cfg)


def test_the_resolution_of_an_image_changes_alone():
    step = RandomResolution(scale=(60, 40), interpolation="bicubic", backend="pillow")
    image = np.random.RandomState(0).randint(0, 256, (80, 120, 3)).astype(np.uint8)
    label = np.arange(80 * 120).reshape(80, 120).astype(np.uint8)
    counts = Counter()
    for seed in range(200):
        results = dict(img=image, gt_semantic_seg=label, rng=np.random.RandomState(seed), img_shape=(80, 120))
        found = step(results)
        assert found["gt_semantic_seg"].shape == (40, 60) and found["img"].shape[:2] == found["img_shape"]
        counts[found["img_shape"]] += 1
        expected = Image.fromarray(image).resize(found["img_shape"][::-1], Image.Resampling.BICUBIC)
        assert (found["img"] == np.array(expected)).all()
    assert counts.keys() == {(32, 48), (40, 60), (44, 66)} and min(counts.values()) > 40
    for wrong in (dict(factors=(1, 2)), dict(probabilities=(0.5, 0.5, 0.5)), dict(factors=(0, 1, 2))):
        with pytest.raises(ConfigError, match="RandomResolution"):
            RandomResolution(scale=(60, 40), **wrong)
