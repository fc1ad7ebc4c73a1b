"""AdaBN: normalisation by the statistics of the target, and nothing else of it.

Li, Wang, Shi, Liu, Hou, "Revisiting Batch Normalization For Practical Domain Adaptation", ICLR workshop 2017.
"""

from collections.abc import Iterator

import torch

from mmseg.models.segmentors.encoder_decoder import Losses
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS


@MODELS.register_module()
class AdaBN(UDADecorator):
    """Train on source labels; the running statistics of batch norms, by which the network is tested, are
    those of target images (alg. 1).

    Gradients are those of source-only training with the same crops. The statistics are a running mean over
    the training, as of any batch norm, where the paper takes one pass over the target after it.

    Args:
        model: The student segmentor.
        masking: See :class:`UDADecorator`.
    """

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        """Source cross entropy; then the target passes through the norms in the source's place."""
        statistics = [buffer for buffer in self.model.buffers() if buffer.is_floating_point()]
        before = [buffer.clone() for buffer in statistics]
        losses, _ = self.model.forward_train(batch.img, batch.gt_semantic_seg)
        yield losses

        with torch.no_grad():
            torch._foreach_copy_(statistics, before)
            self.target_outputs(batch)
