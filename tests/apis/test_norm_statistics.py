"""Batch norms with the statistics of other images: ``tools/test.py --norm-images``."""

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

from mmseg.apis import init_segmentor
from mmseg.apis.norm_statistics import adapt_norms, image_files
from mmseg.errors import ConfigError

PIPELINE = [dict(type="LoadImage"), dict(type="PackInputs")]


def network(norm: str = "BN"):
    head = dict(
        type="FCNHead", in_channels=512, in_index=3, channels=8, num_convs=1, concat_input=False,
        num_classes=3, norm_cfg=dict(type="BN") if norm == "BN" else None,
    )  # fmt: skip
    backbone = dict(type="TimmBackbone", name="resnet18") if norm == "BN" else dict(type="mit_b0")
    head["in_channels"] = 512 if norm == "BN" else 256
    model = dict(type="EncoderDecoder", pretrained=None, backbone=backbone, decode_head=head)
    cfg = Config(dict(model=model, test_dataloader=dict(dataset=dict(pipeline=PIPELINE))))
    torch.manual_seed(0)
    return init_segmentor(cfg, device="cpu")


def pictures(number: int) -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.integers(60 * i, 60 * i + 50, (64, 96, 3)).astype(np.uint8) for i in range(1, number + 1)]


def test_the_first_norm_has_the_mean_of_its_inputs():
    model, imgs = network(), pictures(3)
    weights = {name: value.clone() for name, value in model.named_parameters()}
    first = model.backbone.network.bn1
    seen: list[torch.Tensor] = []
    handle = model.backbone.network.conv1.register_forward_hook(lambda _, inputs, out: seen.append(out))
    number = adapt_norms(model, PIPELINE, imgs)
    handle.remove()
    assert number == 21 and len(seen) == 3
    mean = torch.stack([out.mean(dim=(0, 2, 3)) for out in seen]).mean(0)
    variance = torch.stack([out.var(dim=(0, 2, 3)) for out in seen]).mean(0)
    torch.testing.assert_close(first.running_mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(first.running_var, variance, rtol=1e-4, atol=1e-5)
    assert not any(part.training for part in model.modules()) and first.momentum == 0.1
    assert all(torch.equal(value, weights[name]) for name, value in model.named_parameters())


def test_what_was_counted_before_is_forgotten():
    one, two = network(), network()
    adapt_norms(one, PIPELINE, pictures(3)[:1])
    for model in (one, two):
        adapt_norms(model, PIPELINE, pictures(3)[1:])
    for (name, ours), theirs in zip(one.named_buffers(), two.buffers(), strict=True):
        assert torch.equal(ours, theirs), name


def test_nothing_to_adapt_is_an_error():
    with pytest.raises(ConfigError, match="found no batch norm with running statistics"):
        adapt_norms(network("LN"), PIPELINE, pictures(1))
    with pytest.raises(ConfigError, match="found no image"):
        adapt_norms(network(), PIPELINE, [])


def test_files_and_folders(tmp_path):
    for name in ("b/2.png", "b/1.jpg", "a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / name), pictures(1)[0])
    found = image_files([tmp_path / "a.png", tmp_path / "b"])
    assert found == [str(tmp_path / name) for name in ("a.png", "b/1.jpg", "b/2.png")]
    (tmp_path / "empty").mkdir()
    for place in ("empty", "nowhere.png"):
        with pytest.raises(ConfigError, match=f"--norm-images .*{place}: found no image"):
            image_files([tmp_path / place])
