"""AdaBN: the gradients of source-only training, the statistics of the target."""

import copy

import torch
from uda_steps import tiny, tiny_batch, tiny_method, wrappers

from mmseg.models.uda import AdaBN, SourceOnly


def running(method) -> dict[str, torch.Tensor]:
    return {name: value for name, value in method.model.named_buffers() if "running" in name}


def test_a_step_trains_on_the_source_and_counts_the_target():
    batch = tiny_batch() | dict(target_img=3 * tiny_batch()["target_img"] + 1)
    method, source_only = tiny_method(AdaBN, tiny()), tiny_method(SourceOnly, tiny())
    start = copy.deepcopy(method.model.state_dict())
    for each in (method, source_only):
        torch.manual_seed(1)
        log = each.train_step(batch, wrappers(each))
        assert set(log) == {"decode.loss_seg", "decode.acc_seg", "pictures"}
    trained = dict(source_only.model.named_parameters())
    assert all(torch.equal(value, trained[name]) for name, value in method.model.named_parameters())

    target_alone = tiny_method(SourceOnly, tiny())
    target_alone.model.load_state_dict({**start, **dict(method.model.named_parameters())})
    with torch.no_grad():
        target_alone.model.forward_outputs(batch["target_img"])
    for name, value in running(method).items():
        assert not torch.equal(value, running(source_only)[name]), name
        torch.testing.assert_close(value, running(target_alone)[name], rtol=1e-3, atol=1e-4)
