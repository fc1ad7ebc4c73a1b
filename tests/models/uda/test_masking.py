"""Masked image consistency: masks against stored numbers, modes, teachers and weights."""

import copy

import numpy as np
import pytest
import torch
from golden_data import gen, load
from networks import assert_digest
from torch import nn
from uda_steps import Scripted

from mmseg.errors import ConfigError
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.uda import BlockMaskGenerator, EMATeacher, PseudoLabel, UDABatch
from mmseg.models.uda.parts.masking_consistency_module import MODES, build_masking

MASKS = dict(mask_ratio=0.7, mask_block_size=4)


class Student(nn.Module):
    """Counts what it is trained on."""

    num_classes = 3

    def __init__(self) -> None:
        super().__init__()
        self.data_preprocessor = SegDataPreprocessor()
        self.weight = nn.Parameter(torch.ones(()))
        self.calls: list[tuple] = []

    def encode_decode(self, img):
        return torch.stack([img[:, 0], img[:, 1], img[:, 2]], dim=1) * self.weight

    def forward_train(self, img, label, seg_weight=None):
        self.calls.append((img, label, seg_weight))
        one = self.weight
        return {"decode.loss_seg": one, "decode.hr.loss_seg": one, "decode.acc_seg": one}, None


def batch(size: int = 2) -> UDABatch:
    torch.manual_seed(0)
    img, target = torch.randn(2, size, 3, 16, 16).add(5)
    return UDABatch(img, torch.ones(size, 16, 16, dtype=torch.long), target)


class Teacher(EMATeacher):
    """Labels every pixel as class 2 with a weight of 0.4."""

    def label(self, img, valid_mask=None, context=None):
        shape = (len(img), *img.shape[2:])
        return PseudoLabel(torch.full(shape, 2), torch.full(shape, 0.4))


def shared_teacher() -> EMATeacher:
    return Teacher(Student(), alpha=0.9, pseudo_threshold=0.5, ignore_top=2)


@pytest.mark.parametrize("case", range(6))
def test_block_masks(case, device):
    golden = load("mic_mask")
    height, width, block, ratio, kept = golden["cases"][case]
    uniform = torch.from_numpy(golden[f"u{case}"])
    rows, columns = (max(1, round(length / block)) for length in (int(height), int(width)))
    context = Scripted(kept=uniform.reshape(2, 1, rows, columns))
    generate = BlockMaskGenerator(float(ratio), int(block))
    mask = generate(torch.zeros(2, 3, int(height), int(width), device=device), context).cpu()
    stored = golden[f"mask{case}"]
    step = mask.shape[2] // stored.shape[2]  # the largest mask is stored thinned out
    np.testing.assert_array_equal(mask[..., ::step, ::step].numpy(), stored)
    assert mask.mean().item() == pytest.approx(float(kept), rel=1e-5)
    if case == 0:
        masked = torch.from_numpy(gen.image(99, (2, 3, 128, 128))) * mask
        assert_digest(masked, golden["masked_digest"], rtol=1e-6)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("mode", MODES)
def test_what_each_mode_trains_on(mode, size):
    student, data = Student(), batch(size)
    module = build_masking(student, dict(mask_mode=mode, mask_generator=MASKS), shared_teacher())
    module.generate_mask = lambda img, *_: torch.ones_like(img)
    module.augmentation = None
    losses = module.objective(student, data)
    ((img, label, weight),) = student.calls
    sources = {"src": size, "trg": 0}.get(mode.removeprefix("separate").removesuffix("aug"), size // 2)
    assert torch.equal(img, torch.cat([data.img[:sources], data.target_img[: size - sources]]))
    assert (label[:sources] == 1).all() and (label[sources:] == 2).all()
    if sources == size:
        assert weight is None
    else:
        assert (weight[:sources] == 1).all() and torch.allclose(weight[sources:], torch.tensor(0.4))
    assert set(losses) == {"masked.decode.loss_seg", "masked.decode.hr.loss_seg", "masked.decode.acc_seg"}


def test_augmentation_and_mask_change_the_image_only_in_aug_modes():
    student, data = Student(), batch()
    module = build_masking(student, dict(mask_mode="separatetrg", mask_generator=MASKS), shared_teacher())
    assert module.augmentation is None
    module.objective(student, data)
    img = student.calls[0][0]
    assert ((img == data.target_img) | (img == 0)).all()
    assert 0 < (img == 0).float().mean() < 1
    assert build_masking(
        student, dict(mask_mode="separateaug", mask_generator=MASKS), shared_teacher()
    ).augmentation


@pytest.mark.parametrize(("published", "detail"), [(False, 0.5), (True, 1.0)])
def test_lambda_weighs_all_losses_or_the_fused_one(published, detail):
    student = Student()
    arguments = dict(
        mask_mode="separatesrc", mask_generator=MASKS, mask_lambda=0.5, published_mask_lambda=published
    )
    losses = build_masking(student, arguments, None).objective(student, batch())
    assert losses["masked.decode.loss_seg"].item() == 0.5
    assert losses["masked.decode.hr.loss_seg"].item() == detail
    assert losses["masked.decode.acc_seg"].item() == 1.0


def test_own_teacher_only_where_it_differs():
    def build(**settings):
        arguments = dict(mask_mode="separatetrg", mask_generator=MASKS, **settings)
        return build_masking(Student(), arguments, shared_teacher())

    assert build().own_teacher is None and not build().state_dict()
    other = build(teacher=dict(alpha=0.5, pseudo_threshold=0.5))
    assert (other.own_teacher.alpha, other.own_teacher.pseudo_threshold) == (0.5, 0.5)
    assert other.own_teacher.ignore_top == 2
    assert list(other.state_dict()) == ["teacher.ema_model.weight"]
    none = build(teacher=dict(pseudo_threshold=None))
    assert (none.own_teacher.alpha, none.own_teacher.pseudo_threshold) == (0.999, None)
    student, data = Student(), batch()
    none.objective(student, data)
    assert torch.equal(student.calls[0][1], data.target_img.argmax(1))  # its own labels, not the method's


def test_source_mode_needs_no_teacher():
    module = build_masking(Student(), dict(mask_mode="separatesrc", mask_generator=MASKS), None)
    assert module.own_teacher is None and not module.state_dict()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(mask_mode="seperate"), "mask_mode"),
        (dict(mask_mode="separatetrg", teacher=dict(alpha=2)), "alpha=2"),
        (dict(mask_mode="separatetrg", teacher=dict(alfa=0.5)), "alfa"),
        (dict(mask_mode="separatesrc", mask_generator=dict(mask_ratio=7, mask_block_size=4)), "mask_ratio"),
        (dict(mask_mode="separatesrc", mask_generator=dict(mask_ratio=0.7, block_size=4)), "block_size"),
        (dict(mask_mode="separatesrc", mask_alfa=1), "mask_alfa"),
        (dict(mask_mode="separatesrc", mask_generator=None), "mask_generator"),
    ],
)
def test_bad_arguments_are_explained(arguments, message):
    arguments = dict(mask_generator=MASKS) | copy.deepcopy(arguments)
    if arguments["mask_generator"] is None:
        del arguments["mask_generator"]
    with pytest.raises(ConfigError, match=message):
        build_masking(Student(), arguments, None)


def test_mixed_mode_needs_two_images():
    student = Student()
    module = build_masking(student, dict(mask_mode="separate", mask_generator=MASKS), shared_teacher())
    with pytest.raises(ConfigError, match="batch_size"):
        module.objective(student, batch(1))
