"""Consecutive training steps of a method against those of the published implementation."""

from collections.abc import Iterator

import torch
from golden_data import gen, norm
from mmengine.optim import OptimWrapper, OptimWrapperDict
from networks import published_names
from torch import nn

from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.layers.sliding_window import Window
from mmseg.models.uda import BlockMaskGenerator, UDADecorator, dacs

NO_AUGMENTATION = dict(blur=False, color_jitter_probability=1.0)
MIC = dict(mask_mode="separatetrgaug", mask_generator=dict(mask_ratio=0.7, mask_block_size=32))


class Normalised(SegDataPreprocessor):
    """The stored inputs are normalised already."""

    def forward(self, data: dict, training: bool = False) -> dict:
        return data


def batch(iteration: int, block: int = 32, margins: bool = False) -> dict[str, torch.Tensor]:
    """The inputs of a stored step: labels in blocks, and margins without trust in pseudo-labels."""
    shape = (2, 3, 128, 128)
    label = gen.label(110 + iteration, (2, 1, 128, 128), block, ignore_frac=0.1)
    data = dict(
        img=torch.from_numpy(gen.image(100 + iteration, shape, 16)),
        target_img=torch.from_numpy(gen.image(200 + iteration, shape, 16)),
        gt_semantic_seg=torch.from_numpy(label)[:, 0],
    )
    if margins:
        valid = torch.ones(2, 128, 128, dtype=torch.bool)
        valid[:, :4] = valid[:, -30:] = valid[:, :, :4] = valid[1, :, -4:] = False
        data["valid_pseudo_mask"] = valid
    return data


def optim_wrapper(module: nn.Module, custom_keys: dict | None = None, **optimizer) -> OptimWrapper:
    """An optimizer for all that the module trains."""
    return GroupedOptimWrapperConstructor(
        dict(type="SegmentationOptimWrapper", optimizer=optimizer), dict(custom_keys=custom_keys or {})
    )(module)


class Recorder:
    """Keeps what the student was trained on."""

    def __init__(self, method: UDADecorator) -> None:
        self.calls: list[tuple] = []
        forward = method.model.forward_train

        def record(img, label, seg_weight=None, return_feat=False):
            self.calls.append((img.detach(), label, seg_weight))
            return forward(img, label, seg_weight=seg_weight, return_feat=return_feat)

        method.model.forward_train = record


def recorded_steps(
    golden: dict, method: UDADecorator, wrapper: OptimWrapper, monkeypatch, **data
) -> Iterator[tuple[int, dict[str, float], dict[str, float]]]:
    """Run the stored steps: (iteration, scalars of the log, norms of the student's gradients)."""
    for iteration in (0, 1):
        inject_stored_draws(golden, iteration, method, monkeypatch)
        gradients = capture_gradients(method, wrapper, monkeypatch)
        log = method.train_step(batch(iteration, **data), wrapper)
        yield iteration, {key: float(value) for key, value in log.items() if key != "pictures"}, gradients


def inject_stored_draws(golden: dict, iteration: int, method: UDADecorator, monkeypatch) -> None:
    """Replace what is drawn at random: mixed classes, detail crops, masks."""
    if f"it{iteration}_mix_mask" in golden:
        mask = torch.from_numpy(golden[f"it{iteration}_mix_mask"])[:, 0].bool()
        monkeypatch.setattr(dacs, "mix_masks", lambda label, chosen: mask)
    if f"it{iteration}_crop_boxes" in golden:
        windows = iter([Window(*box) for box in golden[f"it{iteration}_crop_boxes"].tolist()])
        method.model.draw_window = lambda size: next(windows)
    if f"it{iteration}_mic_mask" in golden:
        kept = torch.from_numpy(golden[f"it{iteration}_mic_mask"]).float()
        masked = kept.repeat_interleave(16, 2).repeat_interleave(16, 3)
        monkeypatch.setattr(BlockMaskGenerator, "__call__", lambda self, img, *_: masked)


def capture_gradients(method: UDADecorator, wrapper: OptimWrapper, monkeypatch) -> dict[str, float]:
    """Published name -> norm of the gradient that the student's optimizer is going to use."""
    student = wrapper["student"] if isinstance(wrapper, OptimWrapperDict) else wrapper
    names = published_names(method.model)
    gradients: dict[str, float] = {}
    step = type(student).step

    def record(*args, **kwargs):
        for key, parameter in method.model.named_parameters():
            if parameter.grad is not None:
                gradients[names[key]] = float(parameter.grad.double().norm())
        step(student, *args, **kwargs)

    monkeypatch.setattr(student, "step", record)
    return gradients


def check_gradients(golden: dict, iteration: int, gradients: dict[str, float], rtol: float) -> None:
    """Compare norms of gradients with the stored ones."""
    assert set(gradients) == set(golden[f"it{iteration}_grad_names"])
    found = torch.tensor([gradients[key] for key in golden[f"it{iteration}_grad_names"]]).double()
    expected = torch.from_numpy(norm(golden[f"it{iteration}_grad_digest"]))
    torch.testing.assert_close(found, expected, rtol=rtol, atol=1e-7)


def check_calls(golden: dict, iteration: int, calls: list[tuple], same_labels: float = 0.995) -> None:
    """Compare images, labels and weights that the student was trained on."""
    for index, (img, label, weight) in enumerate(calls):
        stored = golden[f"it{iteration}_call{index}_img_digest"]
        torch.testing.assert_close(norm(gen.digest(img)), norm(stored), rtol=1e-6, atol=0)
        if f"it{iteration}_call{index}_label" in golden:
            expected = torch.from_numpy(golden[f"it{iteration}_call{index}_label"])[:, 0]
            assert (label == expected).float().mean() >= same_labels
        if weight is not None:
            expected = torch.from_numpy(golden[f"it{iteration}_call{index}_weight_s2"])
            torch.testing.assert_close(weight[:, ::2, ::2], expected, rtol=1e-3, atol=1e-3)


def check_state(golden: dict, iteration: int, method: UDADecorator, rtol: float = 2e-3) -> None:
    """Compare every parameter and buffer after the step."""
    state, own = method.state_dict(), {published: name for name, published in published_names(method).items()}
    found = [norm(gen.digest(state[own[key]])) for key in golden["state_names"]]
    expected = norm(golden[f"it{iteration}_state_digest"])
    torch.testing.assert_close(torch.tensor(found), torch.from_numpy(expected), rtol=rtol, atol=1e-6)


def spy_on_reads(monkeypatch) -> list[str]:
    """Names of the functions by which the host reads tensors, except of a few drawn numbers."""
    reads: list[str] = []
    for name in ("item", "cpu", "numpy", "__bool__", "__float__", "__int__", "__index__"):
        original = getattr(torch.Tensor, name)

        def spy(self, *args, _name=name, _original=original, **kwargs):
            if self.numel() > 4 or self.requires_grad:
                reads.append(_name)
            return _original(self, *args, **kwargs)

        monkeypatch.setattr(torch.Tensor, name, spy)
    return reads
