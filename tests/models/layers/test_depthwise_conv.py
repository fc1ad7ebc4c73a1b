"""The dilated depthwise convolution of the CPU against PyTorch's own."""

import pytest
import torch
from torch import Tensor, nn

from mmseg.models.decode_heads.aspp import ASPPWrapper
from mmseg.models.layers import depthwise_conv
from mmseg.models.layers.depthwise_conv import ShiftedSum, ShiftedSumConv2d


def pair(dilation: int, bias: bool) -> tuple[ShiftedSumConv2d, nn.Conv2d]:
    """Ours and PyTorch's with the same weights, six channels."""
    torch.manual_seed(0)
    arguments = dict(padding=dilation, dilation=dilation, groups=6, bias=bias)
    ours, reference = ShiftedSumConv2d(6, 6, 3, **arguments), nn.Conv2d(6, 6, 3, **arguments)
    reference.load_state_dict(ours.state_dict())
    return ours, reference


def outcome(conv: nn.Conv2d, feature_map: Tensor) -> list[Tensor]:
    """Output and gradients of map and parameters."""
    leaf = feature_map.clone().requires_grad_()
    result = conv(leaf)
    weights = torch.linspace(-1, 1, result.numel()).view_as(result)
    return [result, *torch.autograd.grad((result.float() * weights).sum(), [leaf, *conv.parameters()])]


@pytest.mark.parametrize("chunk", [1, 2 * 9 * 13 * 4, 2**19])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("dilation", [2, 6, 9, 12, 13, 40])  # one, some or no neighbours inside of the map
def test_output_and_gradients(dilation, bias, chunk, monkeypatch):
    monkeypatch.setattr(depthwise_conv, "CHUNK", chunk)
    feature_map = torch.randn(2, 6, 9, 13, generator=torch.Generator().manual_seed(1))
    ours, reference = (outcome(conv, feature_map) for conv in pair(dilation, bias))
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)


def test_channels_last_maps():
    feature_map = torch.randn(2, 6, 8, 8).to(memory_format=torch.channels_last)
    ours, reference = (outcome(conv, feature_map) for conv in pair(3, bias=True))
    torch.testing.assert_close(ours, reference, rtol=1e-5, atol=1e-5)


def test_autocast_rounds_the_output_once():
    feature_map = torch.randn(2, 6, 8, 8)
    ours, reference = pair(3, bias=True)
    with torch.autocast("cpu", torch.bfloat16):
        result = outcome(ours, feature_map)
    expected = outcome(reference, feature_map.bfloat16().float())
    assert result[0].dtype == torch.bfloat16 and result[2].dtype == torch.float32
    torch.testing.assert_close([r.float() for r in result], expected, rtol=2**-8, atol=2**-6)


def test_other_convolutions_are_those_of_torch(monkeypatch):
    def refuse(*_: object) -> Tensor:
        raise AssertionError("not a dilated depthwise convolution that keeps the size")

    monkeypatch.setattr(ShiftedSum, "apply", refuse)
    feature_map = torch.randn(1, 6, 8, 8)
    for arguments in (
        dict(padding=1, groups=6),
        dict(padding=2, dilation=2),
        dict(padding=2, dilation=2, groups=6, stride=2),
        dict(padding=1, dilation=2, groups=6),
    ):
        ShiftedSumConv2d(6, 6, 3, **arguments)(feature_map)
    with pytest.raises(AssertionError, match="not a dilated"):
        ShiftedSumConv2d(6, 6, 3, padding=2, dilation=2, groups=6)(feature_map)


def test_daformers_fusion_uses_it():
    fusion = ASPPWrapper(6, 4, True, (1, 6, 12), False, dict(type="BN"), dict(type="ReLU"))
    depthwise = [branch.depthwise_conv.conv for branch in list(fusion.aspp_modules)[1:]]
    assert all(isinstance(conv, ShiftedSumConv2d) for conv in depthwise)
