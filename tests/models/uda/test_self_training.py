"""Self-training in rounds: its batches, losses and training steps."""

from pathlib import Path

import numpy as np
import pytest
import torch
import uda_steps
from golden_data import gen, listing, load, norm
from mmengine.optim import OptimWrapperDict
from networks import host, model_config
from uda_steps import NORMALISED, tiny_batch, tiny_method, wrappers

from mmseg.checkpoints.weights import compare
from mmseg.config.base import base
from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.errors import ConfigError
from mmseg.labelling.label_folder import RoundLabels
from mmseg.models.losses import CrossEntropyLoss, is_labelled
from mmseg.models.uda import DACS, TPLD, SelfTraining, SourceOnly, UDABatch, UDADecorator
from mmseg.models.uda.parts.bootstrapping import Bootstrapping
from mmseg.models.uda.parts.confidence_regulariser import ConfidenceRegulariser
from mmseg.registry import MODELS

CAFFE_MEAN = np.array([104.00698793, 116.66876762, 122.67891434], np.float32).reshape(1, 3, 1, 1)
FROM_TARGET = torch.tensor([False, True])


def regulariser(type: str, alpha: float, source: float, target: float) -> ConfidenceRegulariser:
    return ConfidenceRegulariser(type, alpha, target_weight=target, source_weight=source)


MRKLD = regulariser("kld", 0.1, 0, 0.1)
PUBLISHED = {
    "cbst": None, "mrkld": MRKLD, "mrkld_paper": regulariser("kld", 0.1, 0, 1),
    "mrkld_both": regulariser("kld", 0.1, 0.1, 0.1), "mrkld_no_target": MRKLD, "lrent": None,
    "lrent_mrkld": MRKLD, "lrent_no_target": None,
}  # fmt: skip


def scores_and_labels(case: str, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (2, 19, 24, 40) and hard or soft labels of a stored case."""
    logits = torch.from_numpy(2 * gen.feats(7200, [(2, 19, 24, 40)])[0]).to(dtype).requires_grad_()
    label = torch.from_numpy(gen.label(7201, (2, 1, 24, 40), 8, 19, 0.3)[:, 0])
    if case.endswith("no_target"):
        label[1] = 255
    if case == "nothing_valid":
        label[:] = 255
    if case.startswith("lrent"):
        soft = torch.from_numpy(1.5 * gen.feats(7202, [(2, 19, 24, 40)])[0].astype(np.float64)).softmax(1)
        label = soft.float() * (label != 255).unsqueeze(1)
    return logits, label


def loss_of(logits: torch.Tensor, label: torch.Tensor, regular: ConfidenceRegulariser | None) -> torch.Tensor:
    loss = CrossEntropyLoss(avg_non_ignore=True)(logits, label)
    return loss if regular is None else loss + regular(logits, is_labelled(label), FROM_TARGET)


@pytest.mark.parametrize("case", PUBLISHED)
def test_losses_and_gradients_of_crst_are_the_published_ones(case):
    golden = load("survey/rounds/crst_losses")
    logits, label = scores_and_labels(case)
    loss = loss_of(logits, label, PUBLISHED[case])
    loss.backward()
    assert loss.item() == pytest.approx(float(golden[f"loss_{case}"]), rel=1e-6)
    gradient = logits.grad.numpy()
    np.testing.assert_allclose(gradient[..., ::4, ::4], golden[f"grad_{case}_s4"], rtol=0, atol=1e-9)
    np.testing.assert_allclose(norm(gen.digest(gradient)), norm(golden[f"grad_{case}_digest"]), rtol=1e-5)
    exact, label = scores_and_labels(case, torch.float64)
    assert loss_of(exact, label, PUBLISHED[case]).item() == pytest.approx(
        float(golden[f"loss_{case}_f64"]), rel=1e-9
    )


def test_a_batch_without_a_label_has_no_loss_and_no_gradient():
    assert np.isnan(load("survey/rounds/crst_losses")["loss_nothing_valid"])  # what was published
    logits, label = scores_and_labels("nothing_valid")
    loss = loss_of(logits, label, MRKLD)
    loss.backward()
    assert loss.item() == 0 and not logits.grad.any()


NOT_PUBLISHED = [
    (kind, alpha, source, target)
    for kind, alphas in {"kld": [0.1], "l2": [0.1, 0.025], "ent": [0.1]}.items()
    for alpha in alphas
    for source, target in ((0, 1), (0, 0.1), (1, 1))
]


@pytest.mark.parametrize("case", NOT_PUBLISHED, ids=str)
def test_regularisers_without_published_code_are_their_formulas(case):
    golden, name = load("survey/rounds/reference_not_published"), "{}_a{}_w{}_{}".format(*case)
    logits, label = scores_and_labels(name, torch.float64)
    loss = loss_of(logits, label, regulariser(*case))
    loss.backward()
    assert loss.item() == pytest.approx(float(golden[f"loss_{name}"]), rel=1e-9)
    gradient = logits.grad.numpy()
    np.testing.assert_allclose(gradient[..., ::4, ::4], golden[f"grad_{name}_s4"], rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(norm(gen.digest(gradient)), norm(golden[f"grad_{name}_digest"]), rtol=1e-9)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (dict(type="l1", alpha=0.1), "expected one of kld, ent, l2"),
        (dict(type="kld", alpha=-1.0), "numbers from 0 on"),
        (dict(type="kld", alpha=0.1, weight=1.0), "has no"),
        (dict(type="kld", alpha="much"), "alpha"),
    ],
)
def test_settings_of_a_regulariser_are_checked(settings, said):
    with pytest.raises(ConfigError, match=said):
        ConfidenceRegulariser.build(settings)


# ------------------------------------------------------------ batches


def test_images_of_a_mixed_batch_are_target_images_as_well():
    img, label = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)
    data = dict(img=img, gt_semantic_seg=label, from_target=torch.tensor([True, False]), img_metas=[{}, {}])
    batch = UDABatch.from_dict(data)
    assert batch.target_img is img and batch.from_target is data["from_target"]
    assert batch.soft_label is None and batch.target_label is label
    assert data.keys() == {"img", "gt_semantic_seg", "from_target", "img_metas"}


def pairs() -> dict[str, torch.Tensor]:
    return tiny_batch() | dict(target_label=tiny_batch()["gt_semantic_seg"].flip(0))


def mixed(data: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Pairs as a batch of single images."""
    return dict(
        img=torch.cat([data["img"], data["target_img"]]),
        gt_semantic_seg=torch.cat([data["gt_semantic_seg"], data["target_label"]]),
        from_target=torch.arange(4) >= 2,
    )


def step(data: dict[str, torch.Tensor], **settings) -> dict[str, float]:
    method = tiny_method(SelfTraining, uda_steps.tiny(), **settings)
    log = method.train_step(data, wrappers(method))
    return {name: float(value) for name, value in log.items() if name != "pictures"}


REGULARISED = dict(regulariser=dict(type="kld", alpha=0.1))


def test_pairs_are_trained_on_as_a_mixed_batch():
    log = step(pairs(), **REGULARISED)
    assert log == pytest.approx(step(mixed(pairs()), **REGULARISED), rel=1e-6)
    assert log["regulariser.loss"] > 0.1  # log 4 at least, times the weight


def test_losses_of_a_step_are_those_of_its_logits():
    """With those of the published losses, whose numbers are stored, this is the published step."""
    data = mixed(pairs())
    method = tiny_method(
        SelfTraining, uda_steps.tiny(), regulariser=dict(type="kld", alpha=0.1, target_weight=0.1)
    )
    label, from_target = data["gt_semantic_seg"], data["from_target"]
    label[2:, :32] = 255
    with torch.no_grad():
        logits, _ = method.model.forward_outputs(data["img"], size=label.shape[1:])
        (losses,) = method.objectives(UDABatch.from_dict(data))
    labelled, main = is_labelled(label), logits["main"]
    expected = CrossEntropyLoss()(main, label)
    torch.testing.assert_close(losses["decode.loss_seg"], expected)
    torch.testing.assert_close(losses["regulariser.loss"], MRKLD(main, labelled, from_target))


def test_soft_labels_that_are_certain_are_hard_labels():
    data = mixed(pairs())
    data["gt_semantic_seg"][:, :8] = 255
    label = data["gt_semantic_seg"]
    one_hot = torch.nn.functional.one_hot(label.where(label != 255, 0), 4).movedim(3, 1).float()
    soft = data | dict(soft_label=one_hot * (label != 255).unsqueeze(1), gt_semantic_seg=label.flip(2))
    assert step(soft, **REGULARISED) == pytest.approx(step(data, **REGULARISED), rel=1e-6)


def test_targets_without_labels_are_refused():
    with pytest.raises(ConfigError, match=r"target images have no labels.*rounds"):
        step(tiny_batch())


def test_batch_norms_keep_their_statistics_unless_told_otherwise():
    for norm_eval in (True, False):
        method = tiny_method(SelfTraining, uda_steps.tiny(), norm_eval=norm_eval)
        before = {name: x.clone() for name, x in method.named_buffers() if "running" in name}
        method.train_step(pairs(), wrappers(method))
        after = dict(method.named_buffers())
        assert before and all(torch.equal(x, after[name]) == norm_eval for name, x in before.items())


@pytest.mark.parametrize("mode", ["separate", "separatetrg"])
def test_masked_images_of_a_mixed_batch_keep_their_labels(mode):
    """The teacher labels what has no label, with its own trust."""
    data = mixed(pairs())
    data["gt_semantic_seg"][:, :8] = 255
    masking = dict(mask_mode=mode, mask_generator=dict(mask_ratio=0.5, mask_block_size=8))
    method = tiny_method(SelfTraining, uda_steps.tiny(), masking=masking)
    with torch.no_grad():
        masked = method.mic.compose(UDABatch.from_dict(data))
        own = method.mic.labeller.label(data["img"])
    assert torch.equal(masked.img, data["img"])
    assert (
        torch.equal(masked.label[:, 8:], data["gt_semantic_seg"][:, 8:]) and (masked.weight[:, 8:] == 1).all()
    )
    assert torch.equal(masked.label[:, :8], own.label[:, :8]) and (masked.weight[:, :8] < 1).any()


@pytest.mark.parametrize("method", [DACS, SourceOnly])
def test_methods_of_pairs_refuse_mixed_batches(method):
    built = tiny_method(method, uda_steps.tiny())
    with pytest.raises(ConfigError, match=rf"{method.__name__}: .*mixed batch.*'UDADataset'"):
        built.train_step(mixed(pairs()), wrappers(built))


@pytest.mark.parametrize("data", [pairs(), mixed(pairs())], ids=["pairs", "mixed"])
def test_a_step_of_self_training_reads_nothing_back(data):
    method = tiny_method(SelfTraining, uda_steps.tiny(), **REGULARISED, beta=0.9)
    uda_steps.step_without_values(method, {name: x.to("meta") for name, x in data.items()})


def test_dacs_trusts_labels_of_a_round_and_asks_its_teacher_for_the_others():
    data = pairs()
    data["target_label"][:, :32] = 255
    method = tiny_method(DACS, uda_steps.tiny(), **uda_steps.NO_AUGMENTATION)
    shown = UDABatch.from_dict(data | dict(wants_pictures=True))
    with torch.no_grad():
        *_, _ = method.objectives(shown)
        own = method.teacher.label(data["target_img"])
    found, weight = shown.pictures["pseudo_label"], shown.pictures["weight"]
    assert torch.equal(found[:, 32:], data["target_label"][:, 32:])
    assert torch.equal(found[:, :32], own.label[:, :32])
    assert (weight[:, 32:] == 1).all() and (weight[:, :32] < 1).any()


# ---------------------------------------------------------------------------------------------- TPLD


def round_labels(thresholds: list[float] | None) -> RoundLabels:
    return RoundLabels(Path("rounds/0"), 0, list("abcd"), "", thresholds, [], {}, {"soft": True})


THRESHOLDS = [0.9, 0.5, 0.25, 1.0]


def test_bootstrapping_is_its_formula_but_for_a_constant():
    random = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 4, 3, 5, generator=random, dtype=torch.float64).requires_grad_()
    label = torch.randint(4, (2, 3, 5), generator=random)
    label[:, 0] = 255
    loss = Bootstrapping(4, beta=0.7).double()
    loss.begin_round(round_labels(THRESHOLDS))
    labelled = is_labelled(label)
    entropy = CrossEntropyLoss(avg_non_ignore=True)
    found = entropy(logits, label, loss.label_weight(FROM_TARGET, labelled))
    found = found + loss(logits, labelled, FROM_TARGET)
    p, total = logits.softmax(dim=1), 0.0
    for image, row, column in labelled.nonzero().tolist():
        chosen = label[image, row, column]
        if image == 0:
            total = total - p[image, chosen, row, column].log()
            continue
        q = p[image, :, row, column] / torch.tensor(THRESHOLDS, dtype=torch.float32).double()
        mixed = 0.7 * torch.nn.functional.one_hot(chosen, 4) + 0.3 * q
        total = total - (mixed * q.log()).sum() - 0.7 * torch.tensor(THRESHOLDS)[chosen].double().log()
    torch.testing.assert_close(found, total / labelled.sum(), rtol=1e-7, atol=0)


def test_bootstrapping_needs_thresholds_and_a_share():
    with pytest.raises(ConfigError, match="has labels without thresholds"):
        Bootstrapping(4, 0.9).begin_round(round_labels(None))
    with pytest.raises(ConfigError, match=r"beta=1\.5"):
        Bootstrapping(4, 1.5)


def test_bootstrapping_of_certain_labels_alone_is_self_training():
    log = step(mixed(pairs()), beta=1.0)
    assert log.pop("bootstrapping.loss") == 0
    assert log == pytest.approx(step(mixed(pairs())), rel=1e-6)


def test_a_round_of_tpld_reaches_the_loss():
    """Thresholds are taken over from the round, and easy images have soft labels."""
    method = tiny_method(TPLD, uda_steps.tiny(auxiliary=1), beta=0.5)
    soft = torch.nn.functional.one_hot(tiny_batch()["gt_semantic_seg"], 4).movedim(3, 1) * 0.5
    logs = []
    for thresholds in ([1.0] * 4, THRESHOLDS):
        method.begin_round(round_labels(thresholds))
        with torch.no_grad():
            batch = UDABatch.from_dict(tiny_batch() | dict(soft_label=soft))
            logs.append(method.source_outputs(batch)[1])
    first, second = logs
    assert first["decode.loss_seg"] == second["decode.loss_seg"] > 0
    assert first["bootstrapping.loss"] != second["bootstrapping.loss"]
    hard = method.source_outputs(UDABatch.from_dict(tiny_batch()))[1]
    torch.testing.assert_close(2 * first["decode.loss_seg"], hard["decode.loss_seg"].detach())
    log = method.train_step(tiny_batch() | dict(soft_label=soft), wrappers(method))
    assert {"G_trg.loss.main", "D_src.loss.aux", "bootstrapping.loss"} <= log.keys()


# ------------------------------------------------------------------------------------- published steps


def with_published_weights(method: UDADecorator, names: str, prefix: str) -> dict[str, str]:
    """Fill the student as stored, and return published name -> own name."""
    state = {}
    for key, shape, dtype in listing(names):
        sizes = [int(n) for n in shape.split("x") if n]
        value = torch.from_numpy(gen.fill_array(prefix + key, sizes, "i" if dtype == "int64" else "f"))
        state[key] = value * 0.2 if key.endswith("bn3.weight") else value
    report = compare(method.model, state)
    assert not report.misfits() and not report.missing
    method.model.load_state_dict(report.loaded)
    places = {value.data_ptr(): key for key, value in state.items() if value.numel()}
    return {places[value.data_ptr()]: key for key, value in report.loaded.items() if value.numel()}


def optimizer_of(method: UDADecorator, variant: str, others: dict) -> OptimWrapperDict:
    settings = base("schedules/sgd_deeplabv2")["optim_wrapper"]
    settings.pop("constructor")
    paramwise = settings.pop("paramwise_cfg")
    if variant == "published":
        settings["optimizer"]["type"] = "LegacySGD"
        paramwise["published_duplicate_parameters"] = "backbone.network."
    return GroupedOptimWrapperConstructor({**settings, "other_networks": others}, paramwise)(method)


def crst_inputs(iteration: int) -> dict[str, torch.Tensor]:
    images = [gen.image(seed + iteration, (1, 3, 64, 128), 16) for seed in (7400, 7410)]
    label = gen.label(7420 + iteration, (2, 1, 64, 128), 16)[:, 0]
    label[1][gen.feats(7430 + iteration, [(64, 128)])[0] > 0.3] = 255
    return dict(
        img=torch.from_numpy(np.concatenate(images)).double(),
        gt_semantic_seg=torch.from_numpy(label),
        from_target=FROM_TARGET,
    )


def assert_norms(found: dict[str, np.ndarray], names: np.ndarray, stored: np.ndarray, rtol: float) -> None:
    sizes = [norm(gen.digest(found[str(name)])) for name in names]
    np.testing.assert_allclose(sizes, norm(stored), rtol=rtol)


@pytest.mark.slow
@pytest.mark.parametrize("variant", ["published", "once"])
def test_two_steps_of_crst_equal_the_published_ones(variant):
    golden = load("survey/rounds/crst_step_mrkld")
    student = MODELS.build(model_config("deeplabv2_crst_r101", changes=NORMALISED))
    method = SelfTraining(student, dict(type="kld", alpha=0.1, target_weight=0.1))
    names = with_published_weights(method, "alignment/statedict_net_adaptseg_deeplab", "")
    method = method.double().train()
    wrapper = optimizer_of(method, variant, {})
    for group in wrapper.optimizer.param_groups:
        group["lr"] = {2.5e-4: 5e-5, 2.5e-3: 5e-4}[group["lr"]]
    parameters = dict(method.model.named_parameters())
    start = {key: parameters[own].detach().clone() for key, own in names.items() if own in parameters}
    gradients: dict[str, np.ndarray] = {}

    def keep(*_) -> None:
        gradients.update({key: host(parameters[names[key]].grad.clone()) for key in golden["it0_grad_names"]})

    wrapper.optimizer.register_step_pre_hook(keep)
    expected = golden["losses_f64" if variant == "published" else "losses_own_once"]
    for iteration in (0, 1):
        log = method.train_step(crst_inputs(iteration), wrapper)
        loss = log["decode.loss_seg"] + log["regulariser.loss"]
        assert float(loss) == pytest.approx(expected[iteration], rel=1e-8), iteration
        if iteration == 0 or variant == "published":
            stored = golden[f"it{iteration}_grad_digest"]
            assert_norms(gradients, golden["it0_grad_names"], stored, (2e-3, 3e-3)[iteration])
    if variant == "published":
        moved = {key: host(parameters[names[key]].detach() - start[key]) for key in start}
        assert_norms(moved, golden["update_names"], golden["update_digest_f64"], 1e-7)


STORED_LOSSES = {
    "loss_seg_src_aux": ("aux.loss_seg", 0.1), "loss_seg_src_main": ("decode.loss_seg", 1.0),
    "loss_adv_trg_aux": ("G_trg.loss.aux", 0.0002), "loss_adv_trg_main": ("G_trg.loss.main", 0.001),
}  # fmt: skip


def intrada_inputs(iteration: int) -> dict[str, torch.Tensor]:
    def bgr(seed: int) -> torch.Tensor:
        image = gen.image_u8(seed + iteration, (1, 3, 64, 128), 16).astype(np.float32)
        return torch.from_numpy(np.ascontiguousarray(image[:, ::-1]) - CAFFE_MEAN).double()

    label = gen.label(7640 + iteration, (1, 1, 64, 128), 16, ignore_frac=0.0)[:, 0]
    return dict(img=bgr(7620), gt_semantic_seg=torch.from_numpy(label), target_img=bgr(7630))


@pytest.mark.slow
def test_two_steps_on_easy_and_hard_images_equal_those_of_intrada():
    golden = load("survey/rounds/intrada_step")
    student = MODELS.build(model_config("deeplabv2_advent_r101", changes=NORMALISED))
    part = base("uda/advent")
    method = MODELS.build({**part["uda"], "model": student})
    names = with_published_weights(method, "alignment/statedict_net_adaptseg_deeplab_multi", "model.")
    for level in ("main", "aux"):
        for key, value in method.model_D[level].state_dict().items():
            value.copy_(torch.from_numpy(gen.fill_array(of_discriminator(level, key), value.shape)))
    method = method.double().train()
    method.begin_run(0, 120_000)
    others = {"discriminator": part["other_networks"]["discriminator"]["optim_wrapper"]}
    wrapper = optimizer_of(method, "published", others)
    parameters = {key: value for key, value in method.model.named_parameters() if value.requires_grad}
    parameters = {key: parameters[own] for key, own in names.items() if own in parameters}
    for level in ("main", "aux"):
        network = method.model_D[level]
        parameters |= {of_discriminator(level, key): value for key, value in network.named_parameters()}
    start = {key: value.detach().clone() for key, value in parameters.items()}
    for iteration in (0, 1):
        decay = float(golden["lrs"][iteration, 0]) / 2.5e-4
        for group in wrapper["student"].optimizer.param_groups:
            group["lr"] = group.setdefault("first_lr", group["lr"]) * decay
        # the Adam of that time corrected its epsilon along with the second moment
        epsilon = 1e-8 / (1 - 0.99 ** (iteration + 1)) ** 0.5
        wrapper["discriminator"].optimizer.param_groups[0].update(lr=1e-4 * decay, eps=epsilon)
        log = method.train_step(intrada_inputs(iteration), wrapper)
        stored = dict(zip(golden["loss_names"].tolist(), golden["losses_f64"][iteration], strict=True))
        for name, (ours, weight) in STORED_LOSSES.items():
            assert float(log[ours]) / weight == pytest.approx(stored[name], rel=1e-8), (iteration, name)
        for level in ("main", "aux"):  # the script logs the half of the loss on hard images
            assert float(log[f"D_trg.loss.{level}"]) == pytest.approx(stored[f"loss_d_{level}"], rel=1e-8)
    moved = {key: host(value.detach() - start[key]) for key, value in parameters.items()}
    assert_norms(moved, golden["update_names"], golden["update_digest_f64"], 1e-6)


def of_discriminator(level: str, key: str) -> str:
    """Stored name of an entry: layers are numbered, activations included."""
    layer, entry = key.split(".")
    number = 2 * ["conv1", "conv2", "conv3", "conv4", "classifier"].index(layer)
    return f"d_{level}.{number}.{entry}"
