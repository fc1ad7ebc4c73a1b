"""HRDA's network: both scales encoded one after the other, windows padded to the whole image and added up."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.published.mix_transformer import encode
from benchmarks.published.segmentor import Losses, PublishedSegmentor, decode, loss_and_accuracy, resize
from mmseg.models.layers.sliding_window import Window, sliding_windows
from mmseg.models.segmentors import HRDAEncoderDecoder

STRIDE = 4
"""Of the decoder's output, in pixels of its input."""


class PublishedHRDA(PublishedSegmentor):
    """See the base class."""

    model: HRDAEncoderDecoder

    def extract_feat(self, img: Tensor) -> list[Tensor]:
        """Features of the context."""
        return encode(self.model.backbone, resize(img, [length // 2 for length in img.shape[2:]]))

    def encode_decode(self, img: Tensor) -> Tensor:
        """Logits at the size of the image; the detail comes from sliding windows, all in one batch."""
        size = img.shape[2:]
        crop = self.model.hr_crop_size
        boxes = sliding_windows(size, crop, [length // 2 for length in crop])
        context = self.extract_feat(img)
        detail = encode(self.model.backbone, torch.cat([box.of(img) for box in boxes]))
        head = self.model.decode_head
        logits = decode(head.head, context)
        windows = decode(head.head, detail).split(len(img))
        attention = decode(head.scale_attention, context).sigmoid()
        return resize(fuse(logits, average(windows, boxes, size), attention)[0], size)

    def forward_train(
        self, img: Tensor, label: Tensor, weight: Tensor | None = None
    ) -> tuple[Losses, list[Tensor]]:
        """Losses on the fused logits and on the detail crop, and the features of the context."""
        model, head = self.model, self.model.decode_head
        box = model.draw_window(img.shape[2:])
        context = self.extract_feat(img)
        detail = encode(model.backbone, box.of(img))
        logits, detail_logits = decode(head.head, context), decode(head.head, detail)
        attention = decode(head.scale_attention, context).sigmoid()
        mask = torch.zeros_like(attention)
        cells(box, 2 * STRIDE).of(mask).fill_(1)
        pasted = paste(detail_logits, box, img.shape[2:])
        fused, _ = fuse(logits, pasted, attention * mask)
        losses = loss_and_accuracy(fused, label, weight, 1 - head.hr_loss_weight)
        crop_weight = None if weight is None else box.of(weight)
        on_detail = loss_and_accuracy(detail_logits, box.of(label), crop_weight, head.hr_loss_weight)
        losses |= {name.replace("decode.", "decode.hr."): value for name, value in on_detail.items()}
        return losses, context


def cells(box: Window, stride: int) -> Window:
    """A box in pixels as cells of a map."""
    return Window(*(edge // stride for edge in box))


def paste(logits: Tensor, box: Window, size: Sequence[int]) -> Tensor:
    """Logits of a crop on a map of zeros for the whole image."""
    (height, width), place = (length // STRIDE for length in size), cells(box, STRIDE)
    return F.pad(logits, (place.left, width - place.right, place.top, height - place.bottom))


def average(windows: Sequence[Tensor], boxes: Sequence[Window], size: Sequence[int]) -> Tensor:
    """Mean of the windows' logits on a map for the whole image."""
    total: Tensor | float = 0.0
    count = windows[0].new_zeros((1, 1, *(length // STRIDE for length in size)))
    for logits, box in zip(windows, boxes, strict=True):
        total = total + paste(logits, box, size)
        cells(box, STRIDE).of(count).add_(1)
    return total / count


def fuse(context: Tensor, detail: Tensor, attention: Tensor) -> tuple[Tensor, Tensor]:
    """Attended sum of both scales at the stride of the detail, and the attention there."""
    size = detail.shape[2:]
    context = resize((1 - attention) * context, size)
    attention = resize(attention, size)
    return attention * detail + context, attention
