"""DCTN: its losses and weights against the published code; parts, vote and resume of the method."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from golden_data import gen, load, norm
from test_mdan import joint_batch
from torch import nn
from uda_steps import step_without_values, tiny, tiny_method, wrappers

from mmseg.errors import ConfigError
from mmseg.models.segmentors.voting_encoder_decoder import voted
from mmseg.models.uda import DCTN
from mmseg.models.uda.dctn import confusion, discriminator_loss, of_hardest
from mmseg.models.uda.parts.discriminator import frozen
from mmseg.registry import MODELS


class PublishedDiscriminator(nn.Module):
    """Of features (B, 256, 6, 6)."""

    def __init__(self):
        super().__init__()
        self.conv6_1 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv6_2 = nn.Conv2d(256, 256, 3, padding=1)
        self.conv7_1 = nn.Conv2d(256, 512, 3, padding=1)
        self.conv7_2 = nn.Conv2d(512, 512, 3)
        self.fc8, self.fc9 = nn.Linear(512, 256), nn.Linear(256, 1)

    def forward(self, x):
        x = F.max_pool2d(self.conv6_2(self.conv6_1(x).relu()).relu(), 2)
        x = self.conv7_2(self.conv7_1(x).relu()).relu()
        return self.fc9(self.fc8(x.flatten(1)).relu())


class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(256, 5)

    def forward(self, x):
        return self.fc(x.mean((2, 3)))


def colours(seed):
    return torch.from_numpy(gen.image_u8(seed, (4, 3, 24, 24), 4) / 127.5 - 1).double()


def test_adversarial_steps_weights_and_vote_are_the_published_ones():
    stored = load("domains/dctn")
    extractor = nn.Sequential()
    extractor.add_module("conv", nn.Conv2d(3, 256, 4, stride=4))
    extractor.add_module("relu", nn.ReLU())
    classifiers = [Classifier() for _ in range(2)]
    discriminators = [PublishedDiscriminator() for _ in range(2)]
    names = ["extractor", "s1_cls", "s2_cls", "s1_dis", "s2_dis"]
    networks = nn.ModuleList([extractor, *classifiers, *discriminators])
    for name, network in zip(names, networks, strict=True):
        gen.fill(network.state_dict(), f"{name}.")
    networks.double()
    adam = [torch.optim.Adam(part.parameters(), 1e-5) for part in (extractor, nn.ModuleList(discriminators))]
    perplexity = torch.zeros(2, dtype=torch.float64)
    for iteration in range(2):
        sources = [colours(100 + iteration), colours(150 + iteration) * 0.5]
        target = extractor(colours(200 + iteration) * 0.8)
        labels = [
            torch.from_numpy(np.random.RandomState(seed + iteration).randint(0, 5, 4)) for seed in (110, 160)
        ]
        features = [extractor(x) for x in sources]
        tasks = [F.cross_entropy(c(x), y) for c, x, y in zip(classifiers, features, labels, strict=True)]
        with frozen(networks[3:]):
            scores = [(d(x), d(target)) for d, x in zip(discriminators, features, strict=True)]
        confusions = torch.stack([confusion(*pair) for pair in scores])
        losses = torch.stack([discriminator_loss(*pair) for pair in scores]).detach()
        perplexity += losses
        networks.zero_grad()
        (torch.stack(tasks).sum() + of_hardest(confusions, losses)).backward()
        again = [
            discriminator_loss(d(x.detach()), d(target.detach()))
            for d, x in zip(discriminators, features, strict=True)
        ]
        torch.stack(again).sum().backward()
        rows = torch.stack([torch.stack(tasks), losses, confusions, torch.stack(again)]).detach()
        expected = stored[f"it{iteration}_cls_dis_confusion_disagain_f64"]
        np.testing.assert_allclose(rows.numpy(), expected, rtol=1e-7)
        assert int(losses.argmax()) == int(stored[f"it{iteration}_chosen_source"])
        for key, part in dict(extractor=extractor, dis=networks[3:]).items():
            found = np.array([gen.digest(x.grad.numpy()) for x in part.parameters()])
            expected = stored[f"it{iteration}_{key}_grad_digest"]
            np.testing.assert_allclose(norm(found), norm(expected), rtol=1e-6)
        for optimizer in adam:
            optimizer.step()
        found = np.array([gen.digest(x.numpy()) for x in networks.state_dict().values()])
        np.testing.assert_allclose(norm(found), norm(stored[f"it{iteration}_state_digest"]), rtol=1e-6)
    weights = perplexity / perplexity.sum()
    np.testing.assert_allclose(weights, stored["source_weights_f64"], rtol=1e-7)
    votes = torch.stack([c(target).log_softmax(dim=1) for c in classifiers])
    np.testing.assert_allclose(voted(votes, weights).exp().detach(), stored["vote"], rtol=1e-7)


def test_equal_losses_choose_the_last_source():
    confusions = torch.tensor([1.0, 2.0, 3.0])
    assert of_hardest(confusions, torch.tensor([0.5, 0.5, 0.1])) == 2
    assert of_hardest(confusions, torch.tensor([0.9, 0.5, 0.9])) == 3


# ------------------------------------------------------------------------------------------------- the method

SMALL = dict(discriminator_channels=8, discriminator_dropout=0.0)


def voting(**changes):
    return tiny() | dict(type="VotingEncoderDecoder", num_sources=2) | changes


def dctn(**settings):
    method = tiny_method(DCTN, voting(), discriminative_iters=2, adversarial_iters=2, **SMALL, **settings)
    method.begin_run(seed=0, max_iters=10)
    return method


def moved(method, before):
    """Which parts a step has changed."""
    parts = {
        name.split(".")[0] if name.startswith("model_D") else ".".join(name.split(".")[:2])
        for name, x in method.named_parameters()
        if not torch.equal(x, before[name])
    }
    return parts


def test_parts_alternate_and_the_vote_follows_the_perplexity():
    method = dctn(threshold=0.2)
    optimizers, losses = wrappers(method), []
    encoder, heads = "model.backbone", {"model.decode_head", "model.auxiliary_head"}
    for iteration in range(8):
        before = {name: x.detach().clone() for name, x in method.named_parameters()}
        log = method.train_step(joint_batch(), optimizers)
        adversarial = iteration % 4 in (2, 3)
        part = {encoder, "model_D"} if adversarial else {encoder, *heads}
        assert moved(method, before) == part, iteration
        if adversarial:
            losses.append(torch.stack([log["D_0.loss"], log["D_1.loss"]]))
        else:
            assert log["voted"] > 0 and {"target_0.loss_seg", "target_1.loss_seg"} <= log.keys()
        if iteration == 2:
            assert method.model.source_weights.tolist() == [0.5, 0.5]
    expected = torch.stack(losses[2:]).sum(dim=0)  # of the second adversarial part alone
    torch.testing.assert_close(method.model.source_weights, expected / expected.sum())
    assert method.model.source_weights[0] != 0.5


def test_dctn_resumes_inside_a_part():
    def run(method, optimizers, steps):
        return [method.train_step(joint_batch(), optimizers)["source_1.loss_seg"] for _ in range(steps)]

    method = dctn(threshold=0.2)
    optimizers = wrappers(method)
    run(method, optimizers, 3)
    state = copy.deepcopy([method.state_dict(), optimizers.state_dict()])
    expected = run(method, optimizers, 3)
    again = dctn(threshold=0.2)
    again.load_state_dict(state[0])
    again.iteration = 3
    others = wrappers(again)
    others.load_state_dict(state[1])
    assert run(again, others, 3) == expected


def test_no_target_pixel_is_trained_on_below_the_threshold():
    method = dctn(threshold=1.0)
    log = method.train_step(joint_batch(), wrappers(method))
    assert log["voted"] == 0 and log["target_0.loss_seg"] == 0


def test_heads_vote_with_their_weights():
    torch.manual_seed(0)
    network = MODELS.build(voting()).eval()
    network.source_weights.copy_(torch.tensor([0.8, 0.2]))
    img = torch.randn(1, 3, 64, 64)
    features = network.extract_feat(img)
    first, second = (head(features).softmax(dim=1) for head in network.classifiers)
    voting_logits = network.encode_decode(img, upscale_pred=False)
    torch.testing.assert_close(voting_logits.exp(), 0.8 * first + 0.2 * second)
    assert "source_weights" in network.state_dict()


@pytest.mark.parametrize("iteration", [0, 2])
def test_a_step_of_dctn_reads_nothing_back(iteration):
    method = dctn()
    method.iteration = iteration
    step_without_values(method, joint_batch(), steps=2)


def test_settings_that_dctn_cannot_have():
    with pytest.raises(ConfigError, match=r"classifier for each source, found a EncoderDecoder with 1"):
        tiny_method(DCTN, tiny(), **SMALL)
    with pytest.raises(ConfigError, match="found a VotingEncoderDecoder with 2"):
        tiny_method(DCTN, voting(), num_sources=3, **SMALL)
    for settings in (dict(threshold=1.5), dict(adversarial_iters=0)):
        with pytest.raises(ConfigError, match="expected lengths from 1 on and a probability"):
            tiny_method(DCTN, voting(), **SMALL, **settings)
    for changes in (dict(num_sources=1), dict(auxiliary_head=tiny()["decode_head"])):
        with pytest.raises(ConfigError, match="VotingEncoderDecoder has num_sources="):
            MODELS.build(voting(**changes))
