"""Methods in small, and consecutive training steps against those of the published implementation."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import networks
import torch
from golden_data import gen, norm
from mmengine.optim import OptimWrapper, OptimWrapperDict
from networks import WITHOUT_DROPOUT, host, model_config, published_names, under_hrda
from torch import nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from mmseg.engine.optimizer_constructor import GroupedOptimWrapperConstructor
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.layers.sliding_window import Window
from mmseg.models.uda import StepContext, UDADecorator
from mmseg.registry import MODELS

NO_AUGMENTATION = dict(blur=False, color_jitter_probability=1.0)
MIC = dict(mask_mode="separatetrgaug", mask_generator=dict(mask_ratio=0.7, mask_block_size=32))

ADDED = ("pictures", "trusted")
"""What a step returns beyond the scalars of the published one."""


@MODELS.register_module()
class Normalised(SegDataPreprocessor):
    """The stored inputs are normalised already."""

    def forward(self, data: dict, training: bool = False) -> dict:
        device = self.mean.device
        return {
            name: x.to(device, non_blocking=True) if isinstance(x, torch.Tensor) else x
            for name, x in data.items()
        }


THINGS = [6, 7, 11, 12, 13, 14, 15, 16, 17, 18]
NORMALISED = dict(data_preprocessor=dict(type="Normalised"))
SEGMENTOR = model_config("daformer_sepaspp_mitb5", "mit_b0", WITHOUT_DROPOUT | NORMALISED)
HRDA = under_hrda(SEGMENTOR)
DLV2 = model_config("deeplabv2red_r50-d8", changes=NORMALISED)
HRDA_DLV2 = under_hrda(DLV2)
DISTANCE = dict(
    imnet_feature_dist_lambda=0.005,
    imnet_feature_dist_classes=THINGS,
    imnet_feature_dist_scale_min_ratio=0.75,
)


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


def optim_wrapper(
    module: nn.Module, custom_keys: dict | None = None, others: dict | None = None, **optimizer
) -> OptimWrapper:
    """An optimizer for all that the module trains; ``others`` has the settings of other networks by name."""
    settings = dict(type="SegmentationOptimWrapper", optimizer=optimizer, other_networks=others or {})
    return GroupedOptimWrapperConstructor(settings, dict(custom_keys=custom_keys or {}))(module)


class Recorder:
    """Keeps what the student was trained on."""

    def __init__(self, method: UDADecorator) -> None:
        self.calls: list[tuple] = []
        forward = method.model.forward_train

        def record(img, label, seg_weight=None, return_feat=False):
            self.calls.append(tuple(x if x is None else x.detach().cpu() for x in (img, label, seg_weight)))
            return forward(img, label, seg_weight=seg_weight, return_feat=return_feat)

        method.model.forward_train = record


def recorded_steps(
    golden: dict, method: UDADecorator, wrapper: OptimWrapper, **data
) -> Iterator[tuple[int, dict[str, float], dict[str, float]]]:
    """Run the stored steps: (iteration, scalars of the log, norms of the student's gradients)."""
    for iteration in (0, 1):
        inject_detail_crops(golden, iteration, method)
        gradients = capture_gradients(method, wrapper)
        inputs = batch(iteration, **data)
        log = method.train_step(inputs, wrapper, stored_draws(golden, iteration, inputs["gt_semantic_seg"]))
        yield iteration, {key: float(value) for key, value in log.items() if key not in ADDED}, gradients


@dataclass(frozen=True)
class Scripted(StepContext):
    """Draws what is written down; jitter and blur are left out.

    Attributes:
        chosen: (B, 256) label values that are pasted.
        kept: (B, 1, rows, columns) 1 for the blocks of masked images that are shown.
    """

    chosen: torch.Tensor | None = None
    kept: torch.Tensor | None = None

    def rand(self, number: int, *shape: int, device: torch.device) -> torch.Tensor:
        uniform = self.chosen if len(shape) == 1 else self.kept
        assert uniform is not None and uniform.shape == (number, *shape)
        return uniform.to(device)

    def decide(self, number: int) -> list[float]:
        return [0.0] * number


def stored_draws(golden: dict, iteration: int, label: torch.Tensor) -> Scripted:
    """Mixed classes and masks of a stored step.

    Classes rank by where their pixels lie: pasted ones, those not in the image, those that stayed.
    """
    chosen = kept = None
    if f"it{iteration}_mix_mask" in golden:
        mask = torch.from_numpy(golden[f"it{iteration}_mix_mask"])[:, 0].bool()
        chosen = torch.full((len(label), 256), 0.5)
        for row, own, pasted in zip(chosen, label, mask, strict=True):
            row[own[~pasted]] = 0.1
            row[own[pasted]] = 0.9
    if f"it{iteration}_mic_mask" in golden:  # stored in cells of 16 pixels, half a block
        kept = torch.from_numpy(golden[f"it{iteration}_mic_mask"]).float()[:, :, ::2, ::2]
    return Scripted(chosen=chosen, kept=kept)


def inject_detail_crops(golden: dict, iteration: int, method: UDADecorator) -> None:
    """Replace the detail crops that HRDA draws."""
    if f"it{iteration}_crop_boxes" in golden:
        windows = iter([Window(*box) for box in golden[f"it{iteration}_crop_boxes"].tolist()])
        method.model.draw_window = lambda size: next(windows)


def capture_gradients(method: UDADecorator, wrapper: OptimWrapper) -> dict[str, float]:
    """Published name -> norm of the gradient that the student's optimizer is going to use."""
    student = wrapper["student"] if isinstance(wrapper, OptimWrapperDict) else wrapper
    names = published_names(method.model)
    gradients: dict[str, float] = {}

    def record(*_) -> None:
        for key, parameter in method.model.named_parameters():
            if parameter.grad is not None:
                gradients[names[key]] = float(parameter.grad.double().norm())

    student.optimizer.register_step_pre_hook(record)
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
    found = [norm(gen.digest(host(state[own[key]]))) for key in golden["state_names"]]
    expected = norm(golden[f"it{iteration}_state_digest"])
    torch.testing.assert_close(torch.tensor(found), torch.from_numpy(expected), rtol=rtol, atol=1e-6)


# ---------------------------------------------------------------------------------------------- small methods


def tiny(auxiliary: int = 0, hrda: bool = False) -> dict:
    """A small network with so many auxiliary heads, for normalised images."""
    cfg = networks.tiny(**NORMALISED)
    other = cfg["decode_head"] | dict(in_channels=[64, 160], in_index=[1, 2])
    heads = [copy.deepcopy(other) for _ in range(auxiliary)]
    if auxiliary:
        cfg["auxiliary_head"] = heads[0] if auxiliary == 1 else heads
    return under_hrda(cfg, hr_crop_size=(32, 32)) if hrda else cfg


def tiny_batch() -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    images = torch.randn(2, 2, 3, 64, 64, generator=random)
    label = torch.randint(4, (2, 64, 64), generator=random)
    return dict(img=images[0], target_img=images[1], gt_semantic_seg=label)


def tiny_method(kind: type, segmentor: dict, **settings) -> UDADecorator:
    torch.manual_seed(0)
    return kind(segmentor, **settings).train()


def wrappers(method: UDADecorator) -> OptimWrapper:
    """The published optimizers, with a hundredth of the student's rate."""
    adam = dict(optimizer=dict(type="Adam", lr=1e-4, betas=(0.9, 0.99)))
    others = dict.fromkeys(method.other_networks, adam)
    return optim_wrapper(method, others=others, type="SGD", lr=2.5e-5, momentum=0.9, weight_decay=5e-4)


def step_without_values(method: UDADecorator, data: dict, steps: int = 1) -> None:
    """Run whole steps on tensors that have shapes, but no values.

    Whatever the host would read of them, in any way, cannot be answered: ``item``, ``tolist``, ``numpy``,
    ``cpu``, ``bool``, ``nonzero`` and their like raise. What a step draws on the host may be read.

    Raises:
        Exception: Something is read back.
    """
    method.to("meta").train()
    wrapper = wrappers(method)
    for _ in range(steps):
        with NothingWaits(), NothingFromTheHost():
            method.train_step(data, wrapper, HostDraws(key=0))


class HostDraws(StepContext):
    """Numbers for tensors without values: those on the device have none, either."""

    def generator(self, device: torch.device | str) -> torch.Generator | None:
        return None if torch.device(device).type == "meta" else super().generator(device)


class NothingWaits(TorchDispatchMode):
    """Refuses what makes a host wait for its GPU although it has an answer without values: assigning where a
    mask says, and copies to the device that block."""

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if "index_put" in func.name():
            assert not any(index is not None and index.dtype == torch.bool for index in args[1]), (
                "assigning to tensor[mask] waits for the mask; use torch.where"
            )
        result = func(*args, **(kwargs or {}))
        if func.name() in ("aten::_to_copy", "aten::copy_", "aten::index.Tensor") and is_on_device(result):
            blocks = not (kwargs or {}).get("non_blocking", "copy_" in func.name() and args[2:] == (True,))
            sources = args[1] if "index" in func.name() else args[:2]
            assert not blocks or all(is_on_device(x) for x in sources if isinstance(x, torch.Tensor)), (
                f"{func.name()} copies from the host and waits; make the tensor on the device"
            )
        return result


class NothingFromTheHost(TorchFunctionMode):
    """Refuses tensors that are made of numbers of the host, which are copied to the device one by one."""

    def __torch_function__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        if func in (torch.tensor, torch.as_tensor) and not isinstance(args[0], torch.Tensor):
            assert not is_on_device(result), f"{func.__name__}(…, device=…) copies and waits; use torch.full"
        if func in (torch.Tensor.__getitem__, torch.Tensor.__setitem__) and is_on_device(args[0]):
            assert not isinstance(args[1], list), "an index that is a list is copied to the device"
        return result


def is_on_device(tensor: torch.Tensor) -> bool:
    return tensor.device.type == "meta"
