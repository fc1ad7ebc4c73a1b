"""What a network decides for itself: how logits are resized, which norms are trained, its precision, and how
others name its entries."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from golden_data import gen, listing
from mmengine.config import Config
from networks import CONFIGS, model_config, tiny, under_hrda
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from uda_steps import MIC, NORMALISED, tiny_batch, tiny_method, wrappers
from uda_steps import tiny as tiny_student

from mmseg.checkpoints.weights import load_checkpoint, load_pretrained_backbone, require_file
from mmseg.errors import CheckpointError, ConfigError
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.losses import CrossEntropyLoss
from mmseg.models.segmentors import EncoderDecoder
from mmseg.models.uda import ADDA, DACS, FCAN, ROAD, AdvSeg, FCNsInTheWild, MinEnt, StepContext
from mmseg.registry import MODELS

# ----------------------------------------------------------------------------------------- resizing of logits


def aligned(**changes: Any) -> EncoderDecoder:
    """A network whose logits are resized with aligned corners, in eval mode."""
    torch.manual_seed(0)
    cfg = tiny(**changes)
    cfg["decode_head"]["align_corners"] = True
    return MODELS.build(cfg).eval()


def enlarged(logits: Tensor, *size: int) -> Tensor:
    return F.interpolate(logits, size, mode="bilinear", align_corners=True)


@torch.no_grad()
def test_every_resizing_follows_the_head() -> None:
    network, image = aligned(), torch.randn(2, 3, 40, 72)
    label = torch.randint(4, (2, 40, 72))
    low = network.encode_decode(image, upscale_pred=False)
    assert low.shape == (2, 4, 10, 18)
    high = enlarged(low, 40, 72)
    torch.testing.assert_close(network.encode_decode(image), high)
    outputs, losses = network.forward_outputs(image, label)
    torch.testing.assert_close(outputs["main"], high)
    assert losses["decode.loss_seg"].item() == pytest.approx(F.cross_entropy(high, label).item(), rel=1e-5)
    torch.testing.assert_close(
        network.forward_outputs(image, size=(50, 80))[0]["main"], enlarged(low, 50, 80)
    )
    torch.testing.assert_close(network.predict(image, (80, 100)), enlarged(high, 80, 100))
    windows = dict(mode="slide", crop_size=(40, 72), stride=(40, 72))
    torch.testing.assert_close(aligned(test_cfg=windows).predict(image, (80, 100)), enlarged(high, 80, 100))


def test_hrda_follows_its_shared_head() -> None:
    cfg = tiny_student(hrda=True)
    assert not MODELS.build(cfg).align_corners
    cfg["decode_head"]["align_corners"] = True
    assert MODELS.build(cfg).align_corners


@torch.no_grad()
def test_resize_once_skips_the_size_of_the_image() -> None:
    network, image = aligned(test_cfg=dict(mode="whole", resize_once=True)), torch.randn(2, 3, 40, 72)
    low = network.encode_decode(image, upscale_pred=False)
    torch.testing.assert_close(network.predict(image, (80, 100)), enlarged(low, 80, 100))
    metas = [dict(img_shape=shape, ori_shape=(80, 100), img_path="") for shape in ((40, 72), (32, 64))]
    whole, padded = network(image, img_metas=metas, mode="predict")
    assert torch.equal(whole["pred"], enlarged(low, 80, 100)[0].argmax(0).byte())
    alone = network.encode_decode(image[1:, :, :32, :64], upscale_pred=False)
    assert torch.equal(padded["pred"], enlarged(alone, 80, 100)[0].argmax(0).byte())


def test_resize_once_is_for_whole_images() -> None:
    windows = dict(mode="slide", crop_size=(32, 32), stride=(16, 16), resize_once=True)
    with pytest.raises(ConfigError, match="resize_once=True with mode='slide'"):
        aligned(test_cfg=windows)
    with pytest.raises(ConfigError, match=r"unknown entries \['resize_once'\]"):
        MODELS.build(tiny_student(hrda=True) | dict(test_cfg=dict(mode="whole", resize_once=True)))


@torch.no_grad()
def test_sum_of_two_classifiers() -> None:
    torch.manual_seed(0)
    head = tiny()["decode_head"]
    network = MODELS.build(tiny(auxiliary_head=copy.deepcopy(head), sum_outputs=True)).eval()
    image = torch.randn(1, 3, 32, 64)
    outputs, _ = network.forward_outputs(image)
    torch.testing.assert_close(network.predict(image), outputs["main"] + outputs["aux"])
    with pytest.raises(ConfigError, match="sum_outputs=True without auxiliary_head"):
        MODELS.build(tiny(sum_outputs=True))


# ---------------------------------------------------------------------------------------- norms, losses, data


@pytest.mark.parametrize("frozen", [True, False])
def test_frozen_affine_and_running_statistics(frozen: bool) -> None:
    method = tiny_method(DACS, tiny_student() | dict(frozen_norm_affine=frozen))
    norms = [part for part in method.model.modules() if isinstance(part, nn.BatchNorm2d)]
    assert norms
    before = [{key: value.clone() for key, value in norm.state_dict().items()} for norm in norms]
    wrapper = wrappers(method)
    for _ in range(2):
        method.train_step(tiny_batch(), wrapper)
    for norm, old in zip(norms, before, strict=True):
        assert not torch.equal(norm.running_mean, old["running_mean"])
        assert torch.equal(norm.weight, old["weight"]) == torch.equal(norm.bias, old["bias"]) == frozen
    trained = {p for group in wrapper.optimizer.param_groups for p in group["params"]}
    assert all((norm.weight in trained) != frozen for norm in norms)


def test_mean_over_labelled_pixels() -> None:
    logits, label = torch.randn(2, 4, 6, 6), torch.randint(4, (2, 6, 6))
    label[:, :2] = 255
    weight = torch.rand(2, 6, 6)
    criterion = CrossEntropyLoss(loss_weight=0.5, avg_non_ignore=True)
    expected = 0.5 * F.cross_entropy(logits, label, ignore_index=255)
    torch.testing.assert_close(criterion(logits, label), expected)
    plain = F.cross_entropy(logits, label, ignore_index=255, reduction="none")
    torch.testing.assert_close(criterion(logits, label, weight), 0.5 * (plain * weight).sum() / 48)
    assert criterion(logits, torch.full_like(label, 255)) == 0


def test_blue_green_red() -> None:
    preprocessor = SegDataPreprocessor(mean=(1, 2, 3), std=(1, 1, 2), rgb_to_bgr=True)
    image = torch.randint(256, (1, 3, 4, 4), dtype=torch.uint8)
    red, green, blue = image.float()[0]
    found = preprocessor({"img": image})["img"]
    torch.testing.assert_close(found[0], torch.stack([blue - 1, green - 2, (red - 3) / 2]))
    colours = preprocessor.denormalize(found)
    torch.testing.assert_close(colours, image / 255)
    torch.testing.assert_close(preprocessor.normalize01(colours), found)


class Augmented(StepContext):
    """Jitters and blurs in every step."""

    def decide(self, number: int) -> list[float]:
        return [1.0] * number


class NoDowncast(TorchDispatchMode):
    """Refuses what turns a float64 tensor into one of lower precision."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func.name().startswith("aten::_to_copy") and args[0].dtype == torch.float64:
            assert result.dtype == torch.float64 or not result.is_floating_point(), "a downcast"
        return result


DISTANCE = dict(
    imnet_feature_dist_lambda=0.1, imnet_feature_dist_classes=[0, 1], imnet_feature_dist_scale_min_ratio=0.1
)
SIZES = dict(lower=[0.05] * 4, mean=[0.25] * 4, upper=[0.5] * 4)
SMALL_MIC = MIC | dict(mask_generator=dict(mask_ratio=0.5, mask_block_size=16))


@pytest.mark.parametrize(
    ("kind", "hrda", "settings"),
    [
        (DACS, False, DISTANCE),
        (DACS, True, DISTANCE | dict(masking=SMALL_MIC)),
        (AdvSeg, False, dict(masking=SMALL_MIC)),
        (MinEnt, True, {}),
        (ADDA, False, {}),
        (FCNsInTheWild, True, dict(sizes=SIZES)),
        (ROAD, True, dict(regions=(1, 1))),
        (FCAN, False, {}),
    ],
)
def test_a_step_in_double_precision_stays_there(kind: type, hrda: bool, settings: dict) -> None:
    narrow = dict(channels=8, num_classes=4, norm_cfg=dict(type="BN"))
    student = NORMALISED | dict(
        type="EncoderDecoder",
        backbone=dict(type="TimmBackbone", name="resnet18"),
        decode_head=dict(type="FCNHead", in_channels=64, in_index=0, num_convs=1, **narrow),
    )
    student = under_hrda(student, hr_crop_size=(32, 32)) if hrda else student
    method = tiny_method(kind, student, **settings).double()
    data = {key: x.double() if x.is_floating_point() else x for key, x in tiny_batch().items()}
    cells = data["gt_semantic_seg"][:, ::32, ::32]
    data["gt_semantic_seg"] = cells.repeat_interleave(32, 1).repeat_interleave(32, 2)
    with NoDowncast():
        log = method.train_step(data, wrappers(method), Augmented(key=0))
    values = {key: x for key, x in log.items() if "loss" in key}
    assert all(x.dtype == torch.float64 for x in values.values()), values
    used = [x for x in values.values() if x != 0]
    assert used and all(x != x.float().double() for x in used), "no more digits than float32 has"
    with torch.no_grad(), NoDowncast():
        assert method.model.eval().predict(data["img"]).dtype == torch.float64


# --------------------------------------------------------------------------------- names in published weights


def released(name: str, counters: bool) -> dict[str, Tensor]:
    """The entries of a released checkpoint, small in memory; files before PyTorch 0.4.1 have no counters."""
    return {
        key: torch.zeros((), dtype=torch.int64) if dtype == "int64"
        else torch.from_numpy(gen.fill_array(key, (1,))).expand([int(n) for n in shape.split("x")])
        for key, shape, dtype in listing(f"alignment/statedict_net_{name}")
        if counters or dtype != "int64"
    }  # fmt: skip


def write(state: dict[str, Tensor], path: Path) -> Path:
    torch.save({key: value.clone() for key, value in state.items()}, path)
    return path


@pytest.mark.parametrize(
    ("config", "listed", "counters", "entries"),
    [
        ("deeplabv2_adaptsegnet_r101", "adaptseg_deeplab_multi", False, 536),
        ("deeplabv2_adaptsegnet_single_r101", "adaptseg_deeplab", False, 528),
        ("deeplabv2_advent_r101", "adaptseg_deeplab_multi", True, 640),
        ("deeplabv2_advent_single_r101", "advent_deeplabv2_single", True, 632),
        ("deeplabv2_clan_r101", "clan_deeplab", True, 640),
    ],
)
def test_released_checkpoints_fit(
    config: str, listed: str, counters: bool, entries: int, tmp_path: Path, caplog: Any
) -> None:
    state = released(listed, counters)
    assert len(state) == entries
    network = MODELS.build(model_config(config))
    loaded = []
    network.load_state_dict = lambda found, strict: loaded.append(found)  # type: ignore[method-assign]
    load_checkpoint(network, write(state, tmp_path / "released.pth"))
    assert len(loaded[0]) == entries
    main = "layer6" if any(key.startswith("layer6") for key in state) else "layer5"
    own = loaded[0]["decode_head.aspp_modules.3.conv.weight"]
    torch.testing.assert_close(own, state[f"{main}.conv2d_list.3.weight"])
    own = loaded[0]["backbone.network.layer3.22.bn3.running_var"]
    torch.testing.assert_close(own, state["layer3.22.bn3.running_var"])


def test_heads_that_the_network_lacks_are_reported(tmp_path: Path, monkeypatch: Any) -> None:
    messages: list[str] = []
    monkeypatch.setattr("mmseg.checkpoints.weights.print_log", lambda text, *_, **__: messages.append(text))
    network = MODELS.build(model_config("deeplabv2_advent_single_r101"))
    path = write(released("adaptseg_deeplab_multi", True), tmp_path / "multi.pth")
    load_checkpoint(network, path)
    assert (
        "loaded 632 weights" in messages[-1] and "left over: unused heads 8 (auxiliary_head." in messages[-1]
    )
    single = write(released("advent_deeplabv2_single", True), tmp_path / "single.pth")
    with pytest.raises(CheckpointError, match=r"missing in the file \(8\): auxiliary_head\.aspp"):
        load_checkpoint(MODELS.build(model_config("deeplabv2_advent_r101")), single)


def test_weights_converted_from_caffe(tmp_path: Path, monkeypatch: Any) -> None:
    """Names begin with ``Scale.``, a classifier of 21 classes is in the file, counters are not."""
    messages: list[str] = []
    monkeypatch.setattr("mmseg.checkpoints.weights.print_log", lambda text, *_, **__: messages.append(text))
    encoder = {k: v for k, v in released("adaptseg_deeplab", False).items() if not k.startswith("layer5")}
    classifier = {
        f"layer5.conv2d_list.{b}.{e}": torch.zeros(21) for b in range(4) for e in ("weight", "bias")
    }
    state = {f"Scale.{key}": value for key, value in (encoder | classifier).items()}
    backbone = MODELS.build(dict(type="DeepLabResNet"))
    report = load_pretrained_backbone(backbone, write(state, tmp_path / "init.pth"))
    assert len(report.loaded) == len(encoder) == 520
    torch.testing.assert_close(backbone.state_dict()["network.conv1.weight"], encoder["conv1.weight"])
    assert "unknown to the network (8): layer5.conv2d_list.0.weight" in messages[-1]
    caffe = encoder | {"conv1.bias": torch.zeros(64), "fc.bias": torch.zeros(9)}
    assert len(load_pretrained_backbone(backbone, write(caffe, tmp_path / "caffe.pth")).loaded) == 520


@pytest.mark.parametrize(
    ("config", "address"),
    [
        ("deeplabv2_clan_r101", "vllab.ucmerced.edu"),
        ("fcn8s_vgg16", "download.pytorch.org"),
        ("dilated_vgg16", r"vgg16_caffe-292e1171\.pth"),
        ("drn26", "dl.yf.io"),
    ],
)
def test_every_config_says_where_its_weights_come_from(config: str, address: str) -> None:
    pretrained = Config.fromfile(CONFIGS / f"{config}.py").model.pretrained
    with pytest.raises(CheckpointError, match=f"download .*{address}.* or set model.pretrained=None"):
        require_file(pretrained)
