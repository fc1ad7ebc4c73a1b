"""MDAN against the published code, for classification and as MADAN has it for segmentation."""

from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_data import gen, load, norm
from torch import nn
from uda_steps import step_without_values, tiny, tiny_batch, tiny_method, wrappers

from mmseg.errors import ConfigError
from mmseg.models.uda import MDAN
from mmseg.models.uda.mdan import ImageFeatures, domain_loss, hard_bound, soft_bound

UNITS = (30, 20, 10)
MU = {"hard": 0.01, "soft": 0.01, "hard_mu1": 1.0, "soft_mu1": 1.0}


class Published(nn.Module):
    """A perceptron with a task and a domain layer for each of three sources, by the published names."""

    def __init__(self):
        super().__init__()
        sizes = [40, *UNITS]
        self.hiddens = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(sizes))
        self.softmax = nn.Linear(UNITS[-1], 2)
        self.domains = nn.ModuleList(nn.Linear(UNITS[-1], 2) for _ in range(3))

    def features(self, x):
        for layer in self.hiddens:
            x = layer(x).relu()
        return x


def bound(name, task, domain):
    if name.startswith("hard"):
        return hard_bound(task, domain, MU[name])
    return soft_bound(task, domain, MU[name], gamma=10.0)


def check_norms(found, stored, rtol=1e-6):
    np.testing.assert_allclose(np.sqrt(found[..., 1]), norm(stored), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize("name", MU)
def test_steps_on_vectors_equal_the_published_ones(name):
    stored = load("domains/mdan")
    network = Published()
    gen.fill(network.state_dict())
    network.double()
    optimizer = torch.optim.Adadelta(network.parameters(), lr=1.0)
    for iteration in range(2):
        inputs = gen.feats(50 + iteration, [(20, 40)] * 4)
        *sources, target = (torch.from_numpy(x).double() * (1 + k) for k, x in enumerate(inputs))
        labels = [
            torch.from_numpy(np.random.RandomState(60 + 10 * iteration + k).randint(0, 2, 20)).long()
            for k in range(3)
        ]
        features, of_target = [network.features(x) for x in sources], network.features(target)
        tasks = torch.stack(
            [F.cross_entropy(network.softmax(x), y) for x, y in zip(features, labels, strict=True)]
        )
        domains = torch.stack(
            [domain_loss(layer, x, of_target) for layer, x in zip(network.domains, features, strict=True)]
        )
        loss = bound(name, tasks, domains)
        optimizer.zero_grad()
        loss.backward()
        for key, found in dict(losses=tasks, domain_losses=domains, loss=loss).items():
            expected = stored[f"{name}_it{iteration}_{key}_f64"]
            np.testing.assert_allclose(found.detach().numpy(), expected, rtol=1e-7)
        gradients = dict(network.named_parameters())
        names = stored[f"{name}_it{iteration}_grad_names"]
        found = [
            gen.digest(torch.zeros(1) if gradients[key].grad is None else gradients[key].grad.numpy())
            for key in names
        ]
        check_norms(np.array(found), stored[f"{name}_it{iteration}_grad_digest"])
        optimizer.step()
        found = [gen.digest(x.numpy()) for x in network.state_dict().values()]
        check_norms(np.array(found), stored[f"{name}_it{iteration}_state_digest"])


@pytest.mark.parametrize("name", ["seg_hard", "seg_soft"])
def test_the_code_for_segmentation_is_the_sum_of_the_tasks(name):
    """4096 channels, two sources and a task loss of 5.5, of both together."""
    stored = load("domains/mdan")
    features = [
        torch.from_numpy(3 * np.maximum(x, 0)).double().requires_grad_()
        for x in gen.feats(70, [(2, 4096, 3, 4)] * 3)
    ]
    trunk = ImageFeatures(4096)
    classifiers = nn.ModuleList(nn.Linear(100, 2) for _ in range(2))
    published = {"dim_reduction": trunk.reduction}
    published |= {f"hiddens.{n}": layer for n, layer in enumerate(trunk.layers)}
    published |= {f"domains.{n}": layer for n, layer in enumerate(classifiers)}
    for prefix, layer in published.items():
        gen.fill(layer.state_dict(), f"{prefix}.")
    trunk.double(), classifiers.double()
    seen = [trunk(x) for x in features]
    domains = torch.stack([domain_loss(c, x, seen[2]) for c, x in zip(classifiers, seen, strict=False)])
    np.testing.assert_allclose(domains.detach().numpy(), stored[f"{name}_domain_losses_f64"], rtol=1e-7)

    method = MDAN.__new__(MDAN)  # the bound alone
    nn.Module.__init__(method)
    method.task, method.bound, method.mu, method.gamma = "sum", name.removeprefix("seg_"), 0.01, 10.0
    tasks = torch.tensor([2.0, 3.5], dtype=torch.float64, requires_grad=True)
    loss = method.upper_bound(tasks, domains)
    np.testing.assert_allclose(loss.item(), float(stored[f"{name}_loss_f64"]), rtol=1e-7)
    loss.backward()
    np.testing.assert_allclose(tasks.grad, [float(stored[f"{name}_task_grad_f64"])] * 2, rtol=1e-7)
    found = [gen.digest((torch.zeros(1) if x.grad is None else x.grad).numpy()) for x in features]
    check_norms(np.array(found), stored[f"{name}_feature_grad_digest"])
    for key, expected in zip(stored[f"{name}_grad_names"], stored[f"{name}_grad_digest"], strict=True):
        layer, _, kind = key.rpartition(".")
        gradient = getattr(published[layer], kind).grad
        check_norms(gen.digest((torch.zeros(1) if gradient is None else gradient).numpy()), expected)


def test_large_losses_stay_finite():
    """The published formula gives infinity and no number from 8.8 on."""
    assert np.isinf(load("domains/mdan")["seg_soft_overflow_loss_f64"])
    task = torch.tensor([9.0, 200.0], requires_grad=True)
    loss = soft_bound(task, torch.zeros(2), mu=0.01, gamma=10.0)
    loss.backward()
    assert loss.item() == pytest.approx(200) and task.grad.tolist() == [0.0, 1.0]


# ------------------------------------------------------------------------------------------------- the method


def joint_batch():
    """Two images of each of two sources, two of the target; the second source is darker."""
    data, other = tiny_batch(), tiny_batch()
    img = torch.stack([data["img"], other["img"].flip(3) - 1], dim=1).flatten(0, 1)
    label = torch.stack([data["gt_semantic_seg"], other["gt_semantic_seg"].flip(2)], dim=1).flatten(0, 1)
    return data | dict(img=img, gt_semantic_seg=label)


SMALL = dict(channels=8, units=(16, 8))


@pytest.mark.parametrize("choice", ["hard", "soft"])
def test_a_step_trains_on_the_bound(choice):
    method = tiny_method(MDAN, tiny(), bound=choice, mu=1.0, **SMALL)
    batch = joint_batch() | dict(wants_pictures=True)
    log = method.train_step(batch, wrappers(method))
    assert list(log["pictures"]) == ["source_0", "source_1", "source_label_0", "source_label_1", "target"]
    assert torch.equal(log["pictures"]["source_1"], batch["img"][1::2])
    tasks, domains = (
        torch.stack([log[f"source_{k}.{name}"] for k in range(2)]) for name in ("decode.task_seg", "domain")
    )
    expected = hard_bound(tasks, domains, 1.0) if choice == "hard" else soft_bound(tasks, domains, 1.0, 10.0)
    torch.testing.assert_close(log["bound.loss"], expected)
    assert "loss" not in "".join(name for name in log if name != "bound.loss")
    moved = {name for name, x in method.named_parameters() if x.grad is not None}
    assert any(name.startswith("model.decode_head") for name in moved)


@pytest.mark.parametrize("hrda", [False, True])
def test_a_step_of_mdan_reads_nothing_back(hrda):
    masking = dict(mask_mode="separatetrgaug", mask_generator=dict(mask_ratio=0.7, mask_block_size=32))
    method = tiny_method(MDAN, tiny(hrda=hrda), bound="soft", masking=masking, **SMALL)
    step_without_values(method, joint_batch(), steps=2)


def test_the_encoder_is_trained_against_the_classifiers():
    """With the task at rest, a step of the encoder raises the domain loss, one of the classifiers lowers
    it."""
    torch.manual_seed(0)
    trunk, classifier = ImageFeatures(4, **SMALL), nn.Linear(8, 2)
    source, target = (torch.randn(6, 4, 4, 4) + shift for shift in (0.5, -0.5))

    def loss():
        return domain_loss(classifier, trunk(source), trunk(target))

    before = loss()
    before.backward()
    for part, sign in ((classifier, -1), (trunk, 1)):
        parameters = list(part.parameters())
        kept = [x.detach().clone() for x in parameters]
        with torch.no_grad():
            for x in parameters:
                x -= 1e-3 * x.grad
            assert sign * (loss() - before) > 0
            for x, old in zip(parameters, kept, strict=True):
                x.copy_(old)


def test_settings_that_mdan_cannot_have():
    for settings in (
        dict(bound="medium"),
        dict(task="none"),
        dict(mu=-1),
        dict(gamma=0),
        dict(num_sources=0),
    ):
        with pytest.raises(ConfigError, match="MDAN has bound="):
            tiny_method(MDAN, tiny(), **SMALL, **settings)
    with pytest.raises(ConfigError, match="images of source 1 are needed"):
        method = tiny_method(MDAN, tiny(), **SMALL)
        method.train_step(tiny_batch(), wrappers(method))
