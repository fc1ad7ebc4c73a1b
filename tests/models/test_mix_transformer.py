import numpy as np
import pytest
import torch
from golden_data import gen, load, norm
from networks import (
    assert_digest,
    assert_values,
    filled,
    gradient_digests,
    tensor,
    train_without_randomness,
)
from timm.layers import DropPath

from mmseg.errors import ConfigError
from mmseg.models.backbones.mix_transformer import Attention, MixVisionTransformer
from mmseg.registry import MODELS


@pytest.mark.parametrize(
    "name, parameters",
    [
        ("mit_b0", 3_319_392),
        ("mit_b1", 13_151_424),
        ("mit_b2", 24_196_288),
        ("mit_b3", 44_072_128),
        ("mit_b4", 60_842_688),
        ("mit_b5", 81_443_008),
    ],
)
def test_number_of_parameters(name: str, parameters: int) -> None:
    with torch.device("meta"):
        backbone = MODELS.build(dict(type=name))
    assert sum(parameter.numel() for parameter in backbone.parameters()) == parameters


@pytest.mark.parametrize("name", ["mit_b0", "mit_b5"])
def test_features_equal_the_published_ones(name: str, device: str) -> None:
    backbone, golden = filled(dict(type=name), device).eval(), load(f"backbone_{name}")
    with torch.no_grad():
        features = backbone(tensor(gen.image(11, (2, 3, 64, 96)), device))
        odd_features = backbone(tensor(gen.image(12, (1, 3, 72, 100)), device))
    for stage in range(4):
        assert_values(features[stage], golden[f"feat{stage}"], atol=1e-4, rtol=0)
        assert_digest(odd_features[stage], golden[f"odd_digest{stage}"])
    for stage in (0, 3):
        assert_values(odd_features[stage], golden[f"odd_feat{stage}"], atol=1e-4, rtol=0)


@pytest.mark.parametrize("checkpointing", [False, True])
def test_gradients_equal_the_published_ones(checkpointing: bool, device: str) -> None:
    backbone = train_without_randomness(filled(dict(type="mit_b0", with_cp=checkpointing), device))
    golden, image = load("backbone_mit_b0"), tensor(gen.image(11, (2, 3, 64, 96)), device)
    loss = sum(feature.square().mean() for feature in backbone(image))
    loss.backward()
    names, digests = gradient_digests(backbone)
    assert loss.item() == pytest.approx(golden["grad_loss"].item(), rel=1e-5)
    assert names == list(golden["grad_names"])
    np.testing.assert_allclose(norm(digests), norm(golden["grad_digest"]), rtol=1e-3, atol=1e-6)


def test_drop_path_grows_linearly_from_the_first_block() -> None:
    backbone = MixVisionTransformer((8, 16, 40, 64), (1, 2, 1, 1), drop_path_rate=0.2)
    rates = [layer.drop_prob for layer in backbone.modules() if isinstance(layer, DropPath)]
    assert rates == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2])


def test_drop_path_reaches_a_tenth_by_default() -> None:
    with torch.device("meta"):
        backbone = MODELS.build(dict(type="mit_b5"))
    rates = [layer.drop_prob for layer in backbone.modules() if isinstance(layer, DropPath)]
    np.testing.assert_allclose(rates, np.linspace(0, 0.1, 52))


def test_compile_layers_leaves_the_meaning_of_compile() -> None:
    backbone = MODELS.build(dict(type="mit_b0"))
    backbone.compile_layers(backend="eager")
    compiled = {type(part).__name__ for part in backbone.modules() if part._compiled_call_impl is not None}
    assert compiled == {"Attention", "MixFFN"}
    backbone.compile(backend="eager")
    assert backbone._compiled_call_impl is not None


@pytest.mark.parametrize("reduction", [1, 2])
def test_attention_is_the_softmax_formula(reduction: int) -> None:
    torch.manual_seed(0)
    attention, tokens = Attention(8, 2, reduction).double(), torch.randn(2, 24, 8, dtype=torch.float64)
    keys = tokens
    if reduction > 1:
        image = tokens.transpose(1, 2).reshape(2, 8, 4, 6)
        keys = attention.norm(attention.sr(image).flatten(2).transpose(1, 2))
    query, (key, value) = attention.q(tokens), attention.kv(keys).chunk(2, dim=2)
    heads = []
    for channels in (slice(0, 4), slice(4, 8)):
        scores = query[..., channels] @ key[..., channels].transpose(1, 2) / 4**0.5
        heads.append(scores.softmax(dim=2) @ value[..., channels])
    expected = attention.proj(torch.cat(heads, dim=2))
    torch.testing.assert_close(attention(tokens, 4, 6), expected)


def test_initial_values() -> None:
    torch.manual_seed(0)
    backbone = MODELS.build(dict(type="mit_b0"))
    block = backbone.block3[0]
    assert block.mlp.fc1.weight.std().item() == pytest.approx(0.02, rel=0.05)
    assert block.attn.sr.weight.std().item() == pytest.approx((2 / (4 * 160)) ** 0.5, rel=0.05)
    assert block.mlp.dwconv.dwconv.weight.std().item() == pytest.approx((2 / 9) ** 0.5, rel=0.05)
    for name, parameter in backbone.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any(), name


def test_norms_have_the_published_eps() -> None:
    backbone = MODELS.build(dict(type="mit_b0"))
    eps = {name: part.eps for name, part in backbone.named_modules() if isinstance(part, torch.nn.LayerNorm)}
    stage_norms = {n: e for n, e in eps.items() if "norm1" in n or "norm2" in n or n in ("norm3", "norm4")}
    assert set(stage_norms.values()) == {1e-6}
    assert {e for n, e in eps.items() if n not in stage_norms} == {1e-5}


def test_a_sample_does_not_depend_on_the_others_of_its_batch() -> None:
    backbone = filled(dict(type="mit_b0")).eval()
    images = tensor(gen.image(3, (2, 3, 32, 64)))
    with torch.no_grad():
        for together, alone in zip(backbone(images), backbone(images[1:]), strict=True):
            torch.testing.assert_close(together[1:], alone, atol=1e-5, rtol=1e-5)


def test_unknown_argument_is_named() -> None:
    with pytest.raises(ConfigError, match="drop_path'; did you mean 'drop_path_rate'"):
        MODELS.build(dict(type="mit_b0", drop_path=0.1))
