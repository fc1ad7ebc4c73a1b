"""ADDA against the loop of the published script, and its conditions."""

import copy

import pytest
import torch
from golden_data import gen, load, norm
from mmengine.optim import OptimWrapperDict
from networks import filled_from_listing, model_config, train_without_randomness
from torch import nn
from uda_steps import (
    NORMALISED,
    optim_wrapper,
    tiny,
    tiny_batch,
    tiny_method,
    wrappers,
)

from mmseg.errors import ConfigError, TrainingError
from mmseg.models.uda import ADDA
from mmseg.registry import MODELS

GAP = 0.9  # of the domains; 0 in the case that stops early


@MODELS.register_module()
class OneConvolution(nn.Module):
    """A layer and a ReLU, or two: the small networks of the stored loop."""

    def __init__(self, features: bool) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 8, stride=8) if features else nn.Conv2d(3, 16, 3, padding=1)
        self.conv2 = nn.Conv2d(16, 4096, 1) if features else None

    def forward(self, img: torch.Tensor) -> list[torch.Tensor]:
        x = self.conv1(img).relu()
        return [x if self.conv2 is None else self.conv2(x).relu()]


def stored_method(case: str) -> ADDA:
    features = case.startswith("feat")
    channels = 4096 if features else 16
    head = dict(
        type="FCNHead", in_channels=channels, channels=channels, num_convs=0, concat_input=False,
        num_classes=19, dropout_ratio=0.0,
        loss_decode=dict(type="CrossEntropyLoss", avg_non_ignore=True),
    )  # fmt: skip
    segmentor = dict(
        type="EncoderDecoder", backbone=dict(type="OneConvolution", features=features), **NORMALISED
    )
    method = ADDA(
        segmentor | dict(decode_head=head),
        weights_shared=case != "unshared",
        discriminate="features" if features else "scores",
        patience=4 if case == "stops_early" else None,
    )
    gen.fill(method.model_D.state_dict(), "D.")
    names = {"conv1": method.model.backbone.conv1, "conv2": method.model.backbone.conv2}
    names["conv3" if features else "conv2"] = method.model.decode_head.conv_seg
    for name, layer in names.items():
        gen.fill(layer.state_dict(), f"net.{name}.")
    for layer in method.model_D.modules():
        if isinstance(layer, nn.Dropout2d):
            layer.p = 0.0
    return method.double().train()


def stored_wrapper(case: str, method: ADDA) -> OptimWrapperDict:
    lr = dict(feat=0.004, feat_torch2=0.004, stops_early=1e-4).get(case, 0.02)
    sgd = dict(type="SGD", lr=lr, momentum=0.99, weight_decay=5e-4)
    wrapper = optim_wrapper(method, others=dict(discriminator=dict(optimizer=sgd)), **sgd)
    wrapper["student"].published_zero_gradients = case == "feat"
    return wrapper


def stored_batch(iteration: int, gap: float) -> dict[str, torch.Tensor]:
    shape = (1, 3, 24, 32)
    images = [torch.from_numpy(gen.image(seed + iteration, shape, 8)).double() for seed in (100, 200)]
    label = torch.from_numpy(gen.label(110 + iteration, (1, 1, 24, 32), 8))[:, 0]
    return dict(img=images[0], target_img=images[1] * (1 - gap) - gap, gt_semantic_seg=label)


@pytest.mark.parametrize("case", ["score", "unshared", "feat", "feat_torch2", "stops_early"])
def test_the_loop_equals_that_of_the_published_script(case):
    """Twelve iterations, some of which train the discriminator alone."""
    stored = load("domains/cycada_feature_loop")
    golden = {name.removeprefix(f"{case}_"): stored[name] for name in stored if name.startswith(f"{case}_")}
    method = stored_method(case)
    wrapper, stopped = stored_wrapper(case, method), False
    for iteration, (d_loss, g_loss, source_loss, _) in enumerate(golden["losses_D_G_source_target_f64"]):
        start = method.model.decode_head.conv_seg.weight.detach().clone()
        log = method.train_step(stored_batch(iteration, 0 if case == "stops_early" else GAP), wrapper)
        taken = golden["updates_student"][iteration]
        assert torch.equal(method.model.decode_head.conv_seg.weight, start) != taken or case == "feat"
        assert log["D.loss"].item() == pytest.approx(d_loss, rel=1e-7)
        mean = golden["mean_accuracy_f64"][iteration]
        assert 100 * log["D.mean_accuracy"].item() == pytest.approx(mean, rel=1e-6)
        if taken:
            assert log["G_trg.loss"].item() == pytest.approx(0.1 * g_loss, rel=1e-7)
        if taken and case != "unshared":
            assert log["decode.loss_seg"].item() == pytest.approx(source_loss, rel=1e-7)
        try:
            method.check_values(iteration + 1, {k: float(v) for k, v in log.items() if k != "pictures"})
        except TrainingError as error:
            assert "no suitable discriminator" in str(error) and iteration == 2
            stopped = True
    assert stopped == (case == "stops_early")
    found = [norm(gen.digest(p.detach().numpy())) for p in method.model_D.state_dict().values()]
    assert found == pytest.approx(norm(golden["D_digest"]).tolist(), rel=1e-6)
    student = [norm(gen.digest(p.detach().numpy())) for p in method.model.parameters()]
    order = [name for name, _ in method.model.named_parameters()]
    by_layer = dict(zip(order, student, strict=True))
    names = {f"net.{k.split('.')[-2]}.{k.split('.')[-1]}": v for k, v in by_layer.items()}
    last = "net.conv3" if case.startswith("feat") else "net.conv2"
    names = {k.replace("net.conv_seg", last): v for k, v in names.items()}
    for name, digest in zip(golden["net_names"], golden["net_digest"], strict=True):
        assert names[name] == pytest.approx(float(norm(digest)), rel=1e-6), name


@pytest.mark.slow
def test_two_steps_of_fcn8s_equal_those_of_the_published_script():
    """In double precision; both steps of the student are taken in both iterations."""
    golden = load("alignment/step_adda_shared_score")
    student = MODELS.build(model_config("fcn8s_vgg16", changes=NORMALISED))
    kernels = (".w", "upscore2.weight", "upscore_pool4.weight", "upscore8.weight")  # bilinear
    student, names = filled_from_listing(student, "alignment/statedict_net_cycada_fcn8s", kept=kernels)
    method = ADDA(student)
    gen.fill(method.model_D.state_dict(), "D10.")
    own = train_without_randomness(method).double().model.state_dict()
    for name in names:
        if name.startswith("vgg.") and name.endswith("weight"):
            own[names[name]].mul_(1.4)
    own[names["vgg_head.6.weight"]].mul_(4)
    discriminator = method.model_D.state_dict()
    discriminator["D.6.bias"][1] -= 1.30
    sgd = dict(type="SGD", lr=1e-4, momentum=0.99, weight_decay=5e-4)
    wrapper = optim_wrapper(method, others=dict(discriminator=dict(optimizer=sgd)), **sgd)
    published = {"G": names, "D": {name: name for name in discriminator}}
    networks = {"G": student, "D": method.model_D}
    start = {net: copy.deepcopy(network.state_dict()) for net, network in networks.items()}
    for iteration in (0, 1):
        shape, data = (1, 3, 64, 96), {}
        data["img"] = torch.from_numpy(gen.image(100 + iteration, shape, 16)).double()
        data["target_img"] = 0.5 * torch.from_numpy(gen.image(200 + iteration, shape, 24)).double()
        data["gt_semantic_seg"] = torch.from_numpy(gen.label(110 + iteration, (1, 1, 64, 96), 16))[:, 0]
        log = method.train_step(data, wrapper)
        d_loss, g_loss, source_loss, _ = golden[f"it{iteration}_values"]
        assert log["D.loss"].item() == pytest.approx(d_loss, rel=1e-9)
        assert log["G_trg.loss"].item() == pytest.approx(0.1 * g_loss, rel=1e-9)
        assert log["decode.loss_seg"].item() == pytest.approx(source_loss, rel=1e-9)
        for net, network in networks.items():
            digests = golden[f"it{iteration}_{net}_update_digest"]
            for name, digest in zip(golden[f"{net}_update_names"], digests, strict=True):
                key = published[net][name]
                update = (network.state_dict()[key] - start[net][key]).numpy()
                assert norm(gen.digest(update)) == pytest.approx(float(norm(digest)), rel=1e-7), (net, name)


def test_what_is_not_taken_leaves_norms_as_the_discriminator_saw_them():
    """Two passes without gradient count, those of the student's steps do not, unless they are taken."""
    counts = []
    for threshold in (0.0, 1.0):
        method = tiny_method(ADDA, tiny(), accuracy_threshold=threshold)
        start = copy.deepcopy(method.model).state_dict()
        log = method.train_step(tiny_batch(), wrappers(method))
        assert log["D.weak_iterations"] == (threshold > 0)
        state = method.model.state_dict()
        counts.append({int(n) for name, n in state.items() if name.endswith("num_batches_tracked")})
        moved = [name for name, p in method.model.named_parameters() if not torch.equal(p, start[name])]
        assert bool(moved) == (threshold == 0)
    assert counts == [{4}, {2}]


def test_the_source_is_seen_as_it_was_when_the_training_began():
    """With weights that came after the network was built, and in eval mode."""
    method = tiny_method(ADDA, tiny(), weights_shared=False, accuracy_threshold=0.0)
    nn.init.constant_(method.model.decode_head.conv_seg.weight, 0.5)  # as loaded from a checkpoint
    start = method.model.decode_head.conv_seg.weight.detach().clone()
    wrapper = wrappers(method)
    for _ in range(2):
        log = method.train_step(tiny_batch(), wrapper)
    assert "decode.loss_seg" not in log, "no step on source labels"
    assert torch.equal(method.source_model.decode_head.conv_seg.weight, start)
    assert not torch.equal(method.model.decode_head.conv_seg.weight, start)
    assert (
        not method.source_model.training and "source_model.decode_head.conv_seg.weight" in method.state_dict()
    )
    resumed = tiny_method(ADDA, tiny(), weights_shared=False)
    resumed.load_state_dict(method.state_dict())
    resumed.train_step(tiny_batch(), wrappers(resumed))
    assert torch.equal(resumed.source_model.decode_head.conv_seg.weight, start)


def test_features_of_fcn8s_with_a_copy_for_the_source():
    """The discriminator's first loss by hand; it moves the encoder alone, up to fc7."""
    channels = {
        "backbone.channels": 8,
        "decode_head.channels": 8,
        "decode_head.in_channels": (3, 256, 512, 8),
    }
    student = model_config("fcn8s_vgg16", changes=NORMALISED | channels)
    settings = dict(weights_shared=False, discriminate="features", accuracy_threshold=0.0)
    method = train_without_randomness(tiny_method(ADDA, student, **settings))
    for weight in (p for p in (*method.model.parameters(), *method.model_D.parameters()) if p.ndim > 1):
        nn.init.kaiming_normal_(weight)  # features that tell images apart
    random = torch.Generator().manual_seed(0)
    source, target = torch.randn(2, 1, 3, 32, 32, generator=random)
    start = copy.deepcopy(method.model.state_dict())
    with torch.no_grad():
        scores = [method.model_D(method.model.backbone(img)[-1]) for img in (source, target)]
    logs = [score.log_softmax(dim=1)[:, label] for score, label in zip(scores, (1, 0), strict=True)]
    data = dict(img=source, target_img=target, gt_semantic_seg=torch.zeros(1, 32, 32, dtype=torch.long))
    log = method.train_step(data, wrappers(method))
    assert log["D.loss"].item() == pytest.approx(-torch.cat(logs).mean().item(), rel=1e-6)
    moved = {name for name, value in method.model.state_dict().items() if not torch.equal(value, start[name])}
    encoder = {name for name, _ in method.model.named_parameters() if name.startswith("backbone.")}
    assert moved <= encoder and {"backbone.fc6.bias", "backbone.fc7.bias"} <= moved


def test_the_mean_is_that_of_the_last_iterations():
    method, wrapper = tiny_method(ADDA, tiny(), window=3), None
    wrapper, single = wrappers(method), []
    for iteration in range(5):
        log = method.train_step(tiny_batch(), wrapper)
        single.append(float(log["D.accuracy"]))
        last = single[-3:]
        assert float(log["D.mean_accuracy"]) == pytest.approx(sum(last) / len(last)), iteration
    assert method.state_dict()["accuracies"].shape == (3,)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (dict(discriminate="logits"), "'logits' is unknown; expected one of"),
        (dict(accuracy_threshold=60), r"accuracy_threshold=60.*share in \[0, 1\]"),
        (dict(lambda_g=-1), "lambda_g"),
        (dict(window=0), "window"),
    ],
)
def test_settings_of_adda_out_of_range_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        tiny_method(ADDA, tiny(), **settings)
