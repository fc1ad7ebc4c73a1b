"""Names and shapes of the state of whole methods, one to one with published checkpoints."""

import pytest
import torch
from golden_data import listing
from networks import model_config, published_names, under_hrda
from uda_steps import DISTANCE, MIC

from mmseg.engine.optimizer_constructor import multipliers
from mmseg.models.uda import DACS, AdvSeg, MinEnt

OWN_TEACHER = MIC | dict(teacher=dict(alpha=0.9))


DLV2 = model_config("deeplabv2red_r50-d8", "resnet101c")
CASES = {
    "advseg_dlv2_r101": lambda: AdvSeg(DLV2),
    "advseg_mic_dlv2_r101": lambda: AdvSeg(DLV2, masking=MIC),
    "minent_dlv2_r101": lambda: MinEnt(DLV2),
    "hrda_dlv2_r101": lambda: DACS(under_hrda(DLV2), **DISTANCE),
    "mic_own_teacher_mitb5": lambda: DACS(
        model_config("daformer_sepaspp_mitb5"), **DISTANCE, masking=OWN_TEACHER
    ),
    "hrda_mitb5": lambda: DACS(model_config("hrda_daformer_sepaspp_mitb5"), **DISTANCE),
}


@pytest.mark.parametrize("name", CASES)
def test_names_and_shapes_equal_the_published_ones(name):
    with torch.device("meta"):
        method = CASES[name]()
    state = method.state_dict()
    found = [
        [published, "x".join(map(str, state[own].shape)) or "scalar", str(state[own].dtype).split(".")[1]]
        for own, published in published_names(method).items()
    ]
    assert found == listing(f"statedict_{name}")


@pytest.mark.parametrize("name", ["optim_groups_dlv2_r101_dacs", "optim_groups_hrda_mitb5"])
def test_rate_and_decay_of_every_parameter_equal_the_published_ones(name):
    keys = dict(head=dict(lr_mult=10.0))
    if "mit" in name:
        keys |= dict(pos_block=dict(decay_mult=0.0), norm=dict(decay_mult=0.0))
        segmentor = model_config("hrda_daformer_sepaspp_mitb5")
    else:
        segmentor = DLV2
    with torch.device("meta"):
        method = DACS(segmentor)
    published = published_names(method)
    found = [
        [published[own], *(f"{value:g}" for value in multipliers(own, keys))]
        for own, _ in method.student_parameters()
        if own.startswith("model.")
    ]
    assert found == listing(name)
