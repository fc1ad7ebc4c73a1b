"""The step of every method: what it may read, draw, keep and step on."""

import copy
from collections.abc import Iterator

import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from uda_steps import (
    DISTANCE,
    MIC,
    optim_wrapper,
    step_without_values,
    tiny,
    tiny_batch,
    tiny_method,
    wrappers,
)

from mmseg.errors import ConfigError
from mmseg.models.segmentors.encoder_decoder import Losses
from mmseg.models.uda import (
    ADDA,
    CLAN,
    DACS,
    FCAN,
    FDA,
    ROAD,
    AdvEnt,
    AdvSeg,
    FCNsInTheWild,
    MinEnt,
    Objective,
    SourceOnly,
    Step,
    UDABatch,
    UDADecorator,
)

OWN = dict(teacher=dict(alpha=0.9))
DAFORMER = DISTANCE | dict(imnet_feature_dist_classes=[0, 1], pseudo_weight_ignore_top=4)
SIZES = dict(lower=[0.05] * 4, mean=[0.25] * 4, upper=[0.5] * 4)
METHODS = {
    "source-only": (SourceOnly, False, {}),
    "source-only masked": (SourceOnly, False, dict(masking=MIC | dict(mask_mode="separatesrcaug"))),
    "DACS": (DACS, False, {}),
    "DAFormer": (DACS, False, DAFORMER),
    "HRDA": (DACS, True, DAFORMER),
    "MIC": (DACS, False, DAFORMER | dict(masking=MIC)),
    "MIC(HRDA) own teacher": (DACS, True, DAFORMER | dict(masking=MIC | OWN)),
    "MIC both domains": (DACS, False, dict(masking=MIC | dict(mask_mode="separateaug"))),
    "AdvSeg": (AdvSeg, False, {}),
    "AdvSeg(HRDA) MIC": (AdvSeg, True, dict(masking=MIC)),
    "AdvEnt": (AdvEnt, False, dict(class_ratio_prior=dict(class_ratio=[1, 2, 3, 4]))),
    "AdvEnt(HRDA) MIC": (AdvEnt, True, dict(masking=MIC)),
    "CLAN": (CLAN, False, dict(global_iters=0)),
    "CLAN MIC": (CLAN, False, dict(masking=MIC)),
    "MinEnt": (MinEnt, False, dict(most_uncertain=0.3)),
    "MinEnt(HRDA) MIC": (MinEnt, True, dict(masking=MIC)),
    "ADDA": (ADDA, False, {}),
    "ADDA(HRDA) MIC": (ADDA, True, dict(discriminate="features", weights_shared=False, masking=MIC)),
    "FCNs in the Wild": (FCNsInTheWild, False, dict(sizes=SIZES)),
    "FCNs in the Wild(HRDA) MIC": (FCNsInTheWild, True, dict(sizes=SIZES, masking=MIC)),
    "ROAD": (ROAD, False, dict(regions=(2, 2))),
    "ROAD(HRDA) MIC": (ROAD, True, dict(regions=(1, 1), masking=MIC)),
    "FDA": (FDA, False, {}),
    "FDA(HRDA) MIC": (FDA, True, dict(masking=MIC)),
    "DACS translated": (DACS, False, dict(translator=dict(type="FDA", beta=0.1))),
    "FCAN": (FCAN, False, {}),
    "FCAN(HRDA) MIC": (FCAN, True, dict(masking=MIC)),
}


def method_named(name: str) -> UDADecorator:
    kind, hrda, settings = copy.deepcopy(METHODS[name])
    segmentor = tiny(hrda=hrda)
    if kind is CLAN:
        segmentor |= dict(auxiliary_head=copy.deepcopy(segmentor["decode_head"]), sum_outputs=True)
    method = tiny_method(kind, segmentor, **settings)
    method.begin_run(seed=0, max_iters=10)
    return method


# ------------------------------------------------------------------------------------------------- host reads


@pytest.mark.parametrize("name", METHODS)
def test_a_step_reads_nothing_back(name):
    """Four steps: jitter and blur are drawn in some of them."""
    step_without_values(method_named(name), tiny_batch(), steps=4)


JOINT = [name for name in METHODS if not name.endswith(("HRDA) MIC", "own teacher")) and name != "CLAN MIC"]


@pytest.mark.parametrize("name", JOINT)
def test_images_of_each_source_beside_each_target_image(name):
    """A method need not know of several sources; one that pairs images says so."""
    data = tiny_batch() | dict(source_domain=torch.tensor([0, 1] * 2))
    data |= {key: torch.cat([data[key]] * 2) for key in ("img", "gt_semantic_seg")}
    method = method_named(name)
    if method.needs_equal_crops:
        with pytest.raises(ConfigError, match=r"images of 2 sources .*; expected mode='mixed'"):
            step_without_values(method, data)
    else:
        step_without_values(method, data)


READS = {
    "item": lambda x: x.detach().item(),
    "float": lambda x: float(x.detach()),
    "bool": lambda x: bool(x.detach() > 0),
    "int": lambda x: int(x.detach()),
    "tolist": lambda x: x.detach().tolist(),
    "numpy": lambda x: x.detach().numpy(),
    "cpu": lambda x: x.detach().cpu(),
    "to": lambda x: x.detach().to("cpu"),
    "copy": lambda x: torch.empty(()).copy_(x.detach()),
    "nonzero": lambda x: x.detach().nonzero(),
    "unique": lambda x: x.detach().unique(),
    "equal": lambda x: torch.equal(x.detach(), x.detach()),
    "index": lambda x: x.detach()[x.detach() > 0],
    "assign": lambda x: x.detach().clone().index_put_((x.detach() > 0,), x.detach()),
    "select": lambda x: torch.masked_select(x.detach(), x.detach() > 0),
    "upload": lambda x: torch.zeros(3).to(x.device),
    "upload into": lambda x: torch.empty(3, device=x.device).copy_(torch.zeros(3)),
    "number": lambda x: torch.tensor([1.0], device=x.device),
    "index of the host": lambda x: torch.empty(3, device=x.device)[torch.tensor([0, 1])],
    "index by a list": lambda x: torch.empty(3, device=x.device)[[0, 1]],
}


@pytest.mark.parametrize("read", READS)
def test_everything_that_waits_is_found(read):
    class Reading(UDADecorator):
        def objectives(self, batch: UDABatch) -> Iterator[Losses]:
            losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
            yield losses
            READS[read](losses["decode.loss_seg"])

    step_without_values(tiny_method(SourceOnly, tiny()), tiny_batch())
    with pytest.raises(Exception):  # noqa: B017  (each operation complains in its own words)
        step_without_values(tiny_method(Reading, tiny()), tiny_batch())


# --------------------------------------------------------------------------------------------------- pictures


class Operations(TorchDispatchMode):
    """Counts what is computed."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.names.append(func.name())
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", ["DAFormer", "HRDA", "MIC", "AdvSeg", "MinEnt(HRDA) MIC"])
def test_pictures_are_made_only_where_they_are_drawn(name):
    counts = {}
    for wanted in (False, True):
        method = method_named(name)
        with Operations() as operations:
            log = method.train_step(tiny_batch() | dict(wants_pictures=wanted), wrappers(method))
        assert bool(log["pictures"]) == wanted
        counts[wanted] = operations.names.count("aten::_softmax") + operations.names.count("aten::argmax")
    only_drawn = name in ("HRDA", "AdvSeg", "MinEnt(HRDA) MIC")  # attention, arg-max of the target
    assert (counts[True] > counts[False]) == only_drawn


def test_a_drawn_step_trains_like_any_other():
    states = []
    for wanted in (False, True):
        method = method_named("MIC(HRDA) own teacher")
        torch.manual_seed(1)
        method.train_step(tiny_batch() | dict(wants_pictures=wanted), wrappers(method))
        states.append(method.state_dict())
    for key, value in states[0].items():
        assert torch.equal(value, states[1][key]), key


# -------------------------------------------------------------------------------------------------- precision


@pytest.mark.parametrize("name", ["DACS", "MIC"])
def test_images_stay_float32_under_autocast(name, monkeypatch):
    method, images = method_named(name), []
    forward = method.model.forward_train

    def record(img, *args, **kwargs):
        images.append(img)
        return forward(img, *args, **kwargs)

    monkeypatch.setattr(method.model, "forward_train", record)
    settings = dict(type="SGD", lr=0.0)
    wrapper = optim_wrapper(method, **settings)
    wrapper.dtype = torch.bfloat16
    for _ in range(4):  # jitter and blur are drawn in some of them
        method.train_step(tiny_batch(), wrapper)
    assert {img.dtype for img in images} == {torch.float32}
    found = images.copy()
    images.clear()
    wrapper.dtype, method.iteration = None, 0
    for _ in range(4):
        method.train_step(tiny_batch(), wrapper)
    for img, expected in zip(found, images, strict=True):
        if not (expected == 0).any():  # blocks that are masked
            torch.testing.assert_close(img, expected, rtol=1e-5, atol=1e-5)


# ------------------------------------------------------------------------------------------------ small parts


def test_the_method_normalises_like_its_student():
    model = tiny() | dict(data_preprocessor=dict(type="SegDataPreprocessor", mean=[0, 0, 0], std=[1, 1, 1]))
    for kind in (SourceOnly, DACS, AdvSeg, MinEnt):
        method = kind(copy.deepcopy(model))
        assert method.data_preprocessor is method.model.data_preprocessor
        assert method.data_preprocessor.mean.flatten().tolist() == [0, 0, 0]


def test_teachers_count_the_steps_of_the_student():
    method = tiny_method(AdvSeg, tiny(), masking=MIC)
    wrapper, counts = wrappers(method), []
    wrapper["discriminator"]._inner_count = 7
    method.teachers[0].update = lambda student, steps: counts.append(steps)
    for _ in range(2):
        method.train_step(tiny_batch(), wrapper)
    assert counts == [0, 1]
    wrapper["student"]._accumulative_counts = 2
    for _ in range(2):
        method.train_step(tiny_batch(), wrapper)
    assert counts == [0, 1, 1], "between two steps of the student nothing has changed"


def test_frozen_networks_stay_in_eval_mode():
    method = method_named("DAFormer")
    assert not any(module.training for module in method.imnet_model.modules())
    assert all(
        module.training for network in (method.model, method.ema_model) for module in network.modules()
    )
    method.eval()
    assert not any(module.training for module in method.modules())
    assert method.train() is method and not method.imnet_model.backbone.training


class Wrong(UDADecorator):
    """Yields what it is told."""

    groups: tuple = ()

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective | Step]:
        yield from self.groups


@pytest.mark.parametrize(
    ("group", "message"),
    [
        ({"accuracy": torch.ones(())}, "Wrong: .*without a loss, found accuracy; expected a name .* 'loss'"),
        ({}, "Wrong: .*without a loss, found nothing"),
        (Objective({"loss": torch.ones(())}, "critic"), "'critic'; found student, expected .*other_networks"),
        (Step("critic"), "'critic'; found student"),
        (None, "Wrong: .*yields None; expected losses by name, an Objective or a Step"),
        ({"loss": torch.ones(())}, r"Wrong: .*losses without a gradient \(loss\)"),
    ],
)
def test_groups_that_cannot_be_trained_are_explained(group, message):
    method = tiny_method(Wrong, tiny())
    method.groups = (group,)
    with pytest.raises(ConfigError, match=message):
        method.train_step(tiny_batch(), wrappers(method))


def test_a_method_that_trains_nothing_is_explained():
    method = tiny_method(Wrong, tiny())
    with pytest.raises(ConfigError, match="yields nothing to train on"):
        method.train_step(tiny_batch(), wrappers(method))
    method.objectives = lambda batch: {"loss": torch.ones(())}
    with pytest.raises(ConfigError, match="returns dict; expected yield"):
        method.train_step(tiny_batch(), wrappers(method))


# ----------------------------------------------------------------------------------------- order of the steps


class TwoSteps(UDADecorator):
    """A generator that is stepped before its critic looks at what it makes."""

    def __init__(self, model: dict, **common) -> None:
        super().__init__(model, **common)
        self.generator, self.critic = (nn.Conv2d(3, 3, 1, bias=False) for _ in range(2))
        self.other_networks.update(generator=self.generator, critic=self.critic)
        self.seen: list = []

    def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective | Step]:
        before = self.generator.weight.detach().clone()
        yield Objective({"generator.loss": self.generator(batch.img).square().mean()}, "generator")
        self.seen.append(("gradient", self.generator.weight.grad is not None))
        yield Step("generator")
        moved = not torch.equal(before, self.generator.weight)
        self.seen.append(("stepped", moved, "cleared", self.generator.weight.grad is None))
        made = self.generator(batch.img).detach()
        yield Objective({"critic.loss": self.critic(made).square().mean()}, "critic")
        losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
        yield losses
        self.after = self.generator.weight.detach().clone()
        self.progress = (batch.progress.iteration, batch.progress.max_iters)


def test_a_step_in_between_steps_and_clears_its_optimizer_alone():
    method = tiny_method(TwoSteps, tiny())
    method.begin_run(seed=0, max_iters=10)
    wrapper, order = wrappers(method), []
    for name, single in wrapper.items():
        single.optimizer.register_step_post_hook(lambda *_, name=name: order.append(name))
    method.train_step(tiny_batch(), wrapper)
    assert method.seen == [("gradient", True), ("stepped", True, "cleared", True)]
    assert order == ["generator", "student", "critic"], "the others at the end, as the config names them"
    assert torch.equal(method.after, method.generator.weight), "no second step at the end"
    assert [single._inner_count for single in wrapper.values()] == [1, 1, 1]


def test_a_step_in_between_waits_for_accumulated_iterations():
    method = tiny_method(TwoSteps, tiny())
    method.begin_run(seed=0, max_iters=10)
    wrapper = wrappers(method)
    for single in wrapper.values():
        single._accumulative_counts = 2
    for _ in range(2):
        method.train_step(tiny_batch(), wrapper)
    assert method.seen[1] == ("stepped", False, "cleared", False)
    assert method.seen[3] == ("stepped", True, "cleared", True)


@pytest.mark.parametrize("taken", [True, False])
def test_a_step_in_between_may_depend_on_a_value_of_the_device(taken):
    class Conditional(UDADecorator):
        def objectives(self, batch: UDABatch) -> Iterator[Losses | Objective | Step]:
            losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
            yield losses
            yield Step("student", when=(losses["decode.loss_seg"] > 0) == taken)

    method = tiny_method(Conditional, tiny())
    before = copy.deepcopy(method.model.decode_head.conv_seg.weight)
    method.train_step(tiny_batch(), wrappers(method))
    assert torch.equal(method.model.decode_head.conv_seg.weight, before) != taken
    step_without_values(tiny_method(Conditional, tiny()), tiny_batch(), steps=2)


def test_progress_is_that_of_the_run_also_after_a_resume():
    method = tiny_method(TwoSteps, tiny())
    with pytest.raises(ConfigError, match=r"length of the run is unknown; call begin_run\(seed, max_iters\)"):
        method.train_step(tiny_batch(), wrappers(method))
    method.begin_run(seed=3, max_iters=7)
    for iteration in range(2):
        method.train_step(tiny_batch(), wrappers(method))
        assert method.progress == (iteration, 7)
    resumed = tiny_method(TwoSteps, tiny())
    resumed.load_state_dict(method.state_dict())
    resumed.begin_run(seed=3, max_iters=7)
    resumed.train_step(tiny_batch(), wrappers(resumed))
    assert resumed.progress == (2, 7)


# -------------------------------------------------------------------------------------- masking in any method


class Plain(UDADecorator):
    """A method that knows nothing of masking."""

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
        yield losses


class Taught(Plain):
    """A method with a teacher."""

    def __init__(self, model: dict, **common) -> None:
        super().__init__(model, **common, teacher=dict(alpha=0.5, pseudo_threshold=None))


def test_masking_plugs_into_any_method():
    method = tiny_method(Plain, tiny(), masking=MIC)
    (teacher,) = method.teachers
    assert teacher is method.mic.own_teacher and (teacher.alpha, teacher.pseudo_threshold) == (0.999, 0.968)
    teacher.pseudo_threshold = None  # an untrained network is never confident
    log = method.train_step(tiny_batch(), wrappers(method))
    assert log["masked.decode.loss_seg"] > 0
    assert any(name.startswith("mic.teacher.ema_model.") for name in method.state_dict())


def test_the_teacher_of_the_method_labels_masked_images_once(monkeypatch):
    for kind in (Taught, DACS):  # mixed and masked images share the labels
        method, calls = tiny_method(kind, tiny(), masking=MIC), []
        assert method.mic.own_teacher is None and method.teachers == [method.teacher]
        assert not any(name.startswith("mic.") for name in method.state_dict())
        method.teacher.pseudo_threshold = None
        label = method.teacher.label
        monkeypatch.setattr(
            method.teacher, "label", lambda *args, label=label, calls=calls: calls.append(1) or label(*args)
        )
        assert method.train_step(tiny_batch(), wrappers(method))["masked.decode.loss_seg"] > 0
        assert len(calls) == 1
