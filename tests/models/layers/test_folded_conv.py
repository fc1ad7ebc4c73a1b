"""Batch norms that are folded into convolutions, against those that are not."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from mmcv.cnn import ConvModule
from torch import nn

from mmseg.models.layers.folded_conv import FoldedConvModule, fold_batch_norms


def blocks(**arguments) -> nn.Sequential:
    """Two blocks with statistics of their own."""
    torch.manual_seed(0)
    arguments = dict(padding=1, norm_cfg=dict(type="BN"), act_cfg=dict(type="ReLU")) | arguments
    network = nn.Sequential(ConvModule(3, 8, 3, **arguments), ConvModule(8, 4, 3, **arguments))
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
            nn.init.normal_(module.weight)
            nn.init.normal_(module.bias)
    return network


def folded(network: nn.Module) -> nn.Module:
    """A folded copy."""
    result = copy.deepcopy(network)
    fold_batch_norms(result)
    return result


@pytest.mark.parametrize("arguments", [{}, dict(bias=True), dict(act_cfg=None)])
def test_predictions_are_the_same(arguments):
    network, image = blocks(**arguments).eval(), torch.randn(2, 3, 9, 9)
    ours = folded(network)
    assert all(type(module) is FoldedConvModule for module in ours)
    assert ours.state_dict().keys() == network.state_dict().keys()
    with torch.no_grad():
        torch.testing.assert_close(ours(image), network(image), rtol=1e-5, atol=1e-5)
        first = ours[0].conv(image)  # the convolution itself is not changed
    torch.testing.assert_close(first, network[0].conv(image))


@pytest.mark.parametrize("train", [True, False])
def test_gradients_are_the_same(train):
    network, image = blocks().train(train), torch.randn(2, 3, 9, 9)
    gradients = []
    for each in (network, folded(network)):
        gradients.append(torch.autograd.grad(each(image).square().sum(), list(each.parameters())))
    torch.testing.assert_close(*gradients)


def test_what_cannot_be_folded_is_left_alone():
    network = folded(blocks(norm_cfg=dict(type="GN", num_groups=2)))
    assert all(type(module) is ConvModule for module in network)


def test_several_threads_predict_with_one_network():
    network, image = folded(blocks()).eval(), torch.randn(1, 3, 33, 33)

    def predict(_: int) -> torch.Tensor:
        with torch.no_grad():
            return network(image)

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(predict, range(200)))
    for result in results[1:]:
        torch.testing.assert_close(result, results[0])
