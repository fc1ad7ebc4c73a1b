"""Self-training in rounds: its batches, losses and training steps."""

import torch

from mmseg.models.uda import UDABatch


def test_images_of_a_mixed_batch_are_target_images_as_well():
    img, label = torch.zeros(2, 3, 4, 4), torch.zeros(2, 4, 4, dtype=torch.long)
    data = dict(img=img, gt_semantic_seg=label, from_target=torch.tensor([True, False]), img_metas=[{}, {}])
    batch = UDABatch.from_dict(data)
    assert batch.target_img is img and batch.from_target is data["from_target"]
    assert batch.soft_label is None and batch.target_label is None
    assert data.keys() == {"img", "gt_semantic_seg", "from_target", "img_metas"}
