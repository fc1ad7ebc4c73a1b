import numpy as np
import pytest
import torch
from golden_data import gen
from hypothesis import given, settings
from hypothesis import strategies as st

from mmseg.models import SegDataPreprocessor


@pytest.mark.parametrize("key", ["img", "target_img"])
def test_images_are_normalised(key: str) -> None:
    pixels = gen.image_u8(1, (2, 3, 16, 24))
    batch = SegDataPreprocessor()({key: torch.from_numpy(pixels)})
    assert batch[key].dtype == torch.float32
    np.testing.assert_allclose(batch[key], gen.image(1, (2, 3, 16, 24)), rtol=1e-6, atol=1e-6)


@given(height=st.integers(1, 8), width=st.integers(1, 9))
@settings(deadline=None)
def test_padding_becomes_the_mean_colour(height: int, width: int) -> None:
    pixels = torch.from_numpy(gen.image_u8(1, (2, 3, 8, 9)))
    metas = [dict(img_shape=(8, 9)), dict(img_shape=(height, width, 3))]
    preprocess = SegDataPreprocessor()
    plain = preprocess(dict(img=pixels))["img"]
    padded = preprocess(dict(img=pixels, img_metas=metas))["img"]
    assert torch.equal(padded[0], plain[0])
    assert torch.equal(padded[1, :, :height, :width], plain[1, :, :height, :width])
    assert not padded[1, :, height:].any() and not padded[1, :, :, width:].any()


def test_each_domain_has_its_own_metas() -> None:
    pixels = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    batch = SegDataPreprocessor()(
        dict(
            img=pixels,
            img_metas=[dict(img_shape=(4, 4))],
            target_img=pixels,
            target_img_metas=[dict(img_shape=(2, 4))],
        )
    )
    assert (batch["img"] < 0).all()
    assert (batch["target_img"][:, :, :2] < 0).all() and not batch["target_img"][:, :, 2:].any()


def test_other_entries() -> None:
    label = torch.tensor([[[0, 255]]], dtype=torch.uint8)
    mask, metas = torch.tensor([[[True, False]]]), [dict(img_path="a.png")]
    data = dict(gt_semantic_seg=label, valid_pseudo_mask=mask, target_img_metas=metas, extra=None)
    batch = SegDataPreprocessor()(data, training=True)
    assert batch["gt_semantic_seg"].dtype == torch.int64
    assert batch["gt_semantic_seg"].tolist() == [[[0, 255]]]
    assert batch["valid_pseudo_mask"].dtype == torch.bool
    assert batch["target_img_metas"] is metas and batch["extra"] is None
    assert data["gt_semantic_seg"] is label, "the loader's batch is not changed"


def test_colours_and_back() -> None:
    preprocess = SegDataPreprocessor(mean=(10, 20, 30), std=(1, 2, 4))
    pixels = torch.from_numpy(gen.image_u8(1, (2, 3, 8, 8)))
    normalised = preprocess(dict(img=pixels))["img"]
    colours = preprocess.denormalize(normalised)
    torch.testing.assert_close(colours, pixels / 255)
    torch.testing.assert_close(preprocess.normalize01(colours), normalised, rtol=1e-4, atol=1e-4)


def test_nothing_enters_the_state_dict() -> None:
    assert not SegDataPreprocessor().state_dict()


def test_follows_the_device_of_the_network() -> None:
    preprocess = torch.nn.Sequential(SegDataPreprocessor()).to("meta")[0]
    batch = preprocess(dict(img=torch.zeros(1, 3, 4, 4, dtype=torch.uint8), index=torch.zeros(1)))
    assert batch["img"].device.type == batch["index"].device.type == "meta"
