"""Parameters and operations of networks."""

import copy
from dataclasses import replace

import pytest
import torch
from mmengine.config import Config
from torch import nn
from toy_run import ROOT

import experiments
from mmseg.config.base import base
from mmseg.config.load import load_config
from mmseg.models.backbones.mix_transformer import ARCHITECTURES
from mmseg.registry import MODELS
from mmseg.reports.counts import Network, NetworkCost, count, training_crop, unique_networks
from tools import get_param_count


def published(name: str, crop: tuple[int, int] = (64, 64)) -> Network:
    return Network(name, base(f"models/{name}")["model"], crop)


def small(name: str, crop: tuple[int, int]) -> Network:
    """The same on MiT-B0, with a narrow head."""
    network = published(name, crop)
    network.model["backbone"]["type"] = "mit_b0"
    network.model["decode_head"].update(in_channels=list(ARCHITECTURES["mit_b0"][0]), channels=16)
    network.model["decode_head"]["decoder_params"]["embed_dims"] = 16
    return network


def test_parameters_are_the_published_ones():
    cost = count(published("daformer_sepaspp_mitb5", (512, 512)))
    assert (cost.encoder, cost.decoder, cost.total) == (81_443_008, 3_712_275, 85_155_283)
    operations = f"{cost.training_flops / 1e9:.1f} | {cost.inference_flops / 1e9:.1f}"
    row = f"| DAFormer, MiT-B5 | 512x512 | 81,443,008 | 3,712,275 | 85,155,283 | {operations} |\n"
    assert row in (ROOT / "docs" / "tools.md").read_text()


@pytest.mark.parametrize(
    ("name", "decoder"),
    [
        ("daformer_conv1_mitb5", 530_707),
        ("segformer_b5", 3_167_398),
        ("hrda_daformer_sepaspp_mitb5", 4_242_982),
    ],
)
def test_parameters_of_published_decoders(name, decoder):
    """MiT-B1 has the channels of MiT-B5."""
    network = published(name, (512, 512))
    network.model["backbone"]["type"] = "mit_b1"
    cost = count(network)
    assert (cost.encoder, cost.decoder, cost.total) == (13_151_424, decoder, 13_151_424 + decoder)


class HalvingEncoder(nn.Module):
    """A convolution of stride 2."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 8, 3, stride=2, padding=1)

    def forward(self, img):
        return [self.layer(img)]


def test_operations_of_two_convolutions():
    MODELS.register_module(module=HalvingEncoder, force=True)
    head = dict(type="DLV2Head", in_channels=8, in_index=0, num_classes=19, dilations=(6,))
    model = dict(type="EncoderDecoder", backbone=dict(type="HalvingEncoder"), decode_head=head)
    cost = count(Network("two convolutions", model, (64, 32)))
    encoder = 2 * (32 * 16) * (8 * 3 * 3 * 3)
    decoder = 2 * (32 * 16) * (19 * 8 * 3 * 3)
    assert (encoder, decoder) == (221_184, 1_400_832)
    assert cost == NetworkCost(8 * 27 + 8, 19 * 72 + 19, encoder + decoder, encoder + decoder)


def multiplications(model: nn.Module, size: int) -> int:
    """Multiplications of convolutions and linear layers in a real forward pass."""
    found = []

    def add(layer, _, output):
        per_output = layer.weight[0].numel()
        found.append(output.numel() * per_output)

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(add)
    model.encode_decode(torch.zeros(1, 3, size, size))  # with gradients: folded layers are not called
    return sum(found)


def test_operations_of_layers_and_attention():
    network = small("daformer_sepaspp_mitb5", (64, 64))
    model = MODELS.build({**copy.deepcopy(network.model), "pretrained": None}).eval()
    layers = multiplications(model, 64)
    channels, depths = (32, 64, 160, 256), (2, 2, 2, 2)
    tokens, keys = (16 * 16, 8 * 8, 4 * 4, 2 * 2), 2 * 2
    # queries times keys, weights times values
    attention = sum(2 * depth * n * keys * c for depth, n, c in zip(depths, tokens, channels, strict=True))
    head = model.decode_head
    embeddings = [layer.proj.weight.numel() for layer in head.embed_layers.values()]
    branch = (
        head.fuse_layer.aspp_modules.get_submodule("0.conv").weight.numel() // 4
    )  # each level meets a quarter
    pointwise = sum(n * (embedding + branch) for n, embedding in zip(tokens, embeddings, strict=True))
    cost = count(network)
    assert cost.training_flops == cost.inference_flops == 2 * (layers + attention + pointwise)


def test_operations_of_hrda():
    """Training sees one detail crop, inference 3 x 3 windows of half the size."""
    hrda = small("hrda_daformer_sepaspp_mitb5", (128, 128))
    hrda.model["hr_crop_size"] = (64, 64)
    window = count(small("daformer_sepaspp_mitb5", (64, 64))).training_flops
    cost = count(hrda)
    assert cost.inference_flops - cost.training_flops == 8 * window
    assert cost.training_flops > 2 * window, "the attention comes on top"


# --------------------------------------------------------------------------------------------- which networks


def configs(exp_id: int) -> list[tuple[str, Config]]:
    return [(str(exp_id), experiments.make_config(run)) for run in experiments.runs(exp_id)]


def test_seeds_losses_and_ways_of_testing_share_a_network():
    (network,) = unique_networks(configs(7) + configs(83))
    assert (network.name, network.crop) == ("daformer_sepaspp_mitb5", (512, 512))
    assert network.users == ["7", "83"]

    ablation = unique_networks(configs(44))
    detail_512 = [n for n in ablation if n.crop == (1024, 1024) and n.model["hr_crop_size"] == (512, 512)]
    assert [network.name for network in detail_512] == [  # six weights of the loss and the blur are one
        "hrda1-512-0.1-blurhr_daformer_sepaspp_mitb5",
        "hrda1-512-0-fixedatt-nooverlap_daformer_sepaspp_mitb5",
        "hrda1-512-0-nooverlap_daformer_sepaspp_mitb5",
    ]


def test_the_training_crop_is_what_the_network_sees():
    crops = dict.fromkeys(training_crop(cfg) for _, cfg in configs(42))
    assert list(crops) == [(edge, edge) for edge in (128, 256, 384, 512, 768)]
    assert len(unique_networks(configs(42))) == 5


def test_a_config_without_run_is_refused(capsys):
    config = str(ROOT / "configs" / "_base_" / "models" / "segformer_b5.py")
    assert get_param_count.main([config]) == 1
    assert "RandomCrop" in capsys.readouterr().err
    assert get_param_count.main(["--exp", "9"]) == 1
    assert "--exp 9" in capsys.readouterr().err


# --------------------------------------------------------------------------------------------------- the tool


def test_the_table_of_configs(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")  # numbers are never cut
    names = ["source_only", "daformer"]
    paths = [str(ROOT / "configs" / "quickstart" / f"{name}.py") for name in names]
    assert get_param_count.main(paths) == 0
    printed = capsys.readouterr().out
    assert printed.count("3,319,392") == 1, "both train the same network"
    cfg = load_config(paths[0])
    (network,) = unique_networks([("source_only", cfg)])
    cost = count(network)
    for number in (cost.decoder, cost.total):
        assert f"{number:,}" in printed
    assert f"{cost.training_flops / 1e9:,.1f}" in printed
    assert all(name in printed for name in names)
    assert "multiply-add counts as 2" in " ".join(printed.split())


def test_a_network_that_cannot_be_built_does_not_hide_the_others(capsys, monkeypatch):
    axes = experiments.runs(7)[0].row
    rows = [replace(axes, network="nothing_mitb5"), replace(axes, network="daformer_sepaspp_mitb0")]
    monkeypatch.setitem(experiments.EXPERIMENTS, 7, experiments.Experiment("two", rows))
    assert get_param_count.main(["--exp", "7"]) == 1
    printed = capsys.readouterr()
    assert "3,319,392" in printed.out
    assert len(printed.err.strip().splitlines()) == 1 and "decoder 'nothing' is unknown" in printed.err


def test_a_network_whose_parts_do_not_fit_is_named(capsys, monkeypatch, tmp_path):
    config = tmp_path / "odd.py"
    parent = ROOT / "configs" / "quickstart" / "source_only.py"
    config.write_text(f"_base_ = [{str(parent)!r}]\nmodel = dict(backbone=dict(type='MiT_B99'))\n")
    assert get_param_count.main([str(config), str(parent)]) == 1
    printed = capsys.readouterr()
    assert "3,319,392" in printed.out and "error: odd (odd): " in printed.err and "MiT_B99" in printed.err
