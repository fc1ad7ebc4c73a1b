"""Tiny runs in rounds; as a program, ones that kill themselves: ``rounds_run.py CONFIG EVENT NUMBER``."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

from mmengine.config import Config
from torch import Tensor, nn

sys.path.insert(0, str(Path(__file__).parents[1]))

from toy_run import IMAGE_SIZE, toy_config

from mmseg.apis import train
from mmseg.config.load import load_config
from mmseg.datasets.classes import CITYSCAPES_CLASSES
from mmseg.engine.prediction import Predictor
from mmseg.engine.train_loop import SafeTrainLoop
from mmseg.labelling.label_folder import RoundLabels
from mmseg.models.segmentors.encoder_decoder import Losses
from mmseg.models.uda.uda_batch import UDABatch
from mmseg.models.uda.uda_decorator import UDADecorator
from mmseg.registry import MODELS

NUMBER, LENGTH = 3, 2
LAST = NUMBER * LENGTH
LOAD = [dict(type="LoadImage")]
CROP = [dict(type="RandomScale", low=0.8, high=1.2), dict(type="MiningCrop", crop_size=64)]
PACK = [dict(type="RandomFlip"), dict(type="Pad", size=64), dict(type="PackInputs")]


@MODELS.register_module()
class TinyEncoder(nn.Module):
    """One convolution."""

    channels = (8,)

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 7, stride=4, padding=3)

    def forward(self, img: Tensor) -> list[Tensor]:
        return [self.conv(img).tanh()]


@MODELS.register_module()
class TinySelfTraining(UDADecorator):
    """Cross entropy on the labels of both domains; notes which rounds have begun."""

    takes_mixed_batches = True

    def __init__(self, model) -> None:
        super().__init__(model)
        self.begun: list[int] = []

    def begin_round(self, labels: RoundLabels) -> None:
        super().begin_round(labels)
        self.begun.append(labels.round)

    def objectives(self, batch: UDABatch) -> Iterator[Losses]:
        yield self.model.forward_train(batch.img, batch.gt_semantic_seg)[0]


def rounds_config(data: Path, work_dir: Path, options: dict | None = None) -> Config:
    """Three rounds of two iterations with CBST's labels, a checkpoint after each iteration, no validation."""
    cfg = toy_config("dacs", data, work_dir)
    images = dict(img_dir="leftImg8bit/train", load_labels=False)
    target = dict(type="CityscapesDataset", data_root=str(data / "cityscapes"), **images)
    source = dict(type="GTADataset", data_root=str(data / "gta"))
    settings = {
        "model": dict(
            type="EncoderDecoder",
            backbone=dict(type="TinyEncoder"),
            decode_head=dict(
                type="FCNHead",
                num_convs=0,
                concat_input=False,
                channels=8,
                in_index=0,
                dropout_ratio=0.0,
                num_classes=len(CITYSCAPES_CLASSES),
                align_corners=False,
                loss_decode=dict(type="CrossEntropyLoss"),
            ),
        ),
        "uda": dict(type="TinySelfTraining"),
        "train_dataloader.dataset": dict(
            type="SelfTrainingDataset",
            source={**source, "pipeline": [*LOAD, dict(type="LoadLabel"), *CROP, *PACK]},
            target={**target, "pipeline": [*LOAD, *CROP, *PACK]},
            source_portions=[0.25, 0.5],
        ),
        "rounds": dict(
            number=NUMBER,
            length=LENGTH,
            labeller=dict(type="ClassBalanced", portion=[0.3, 0.5, 0.7]),
            images={
                **target,
                "pipeline": [*LOAD, dict(type="Resize", scale=IMAGE_SIZE), dict(type="PackInputs")],
            },
            flip=False,
            pictures=2,
        ),
        "train_cfg.max_iters": LAST,
        "default_hooks.checkpoint.interval": 1,
        "default_hooks.checkpoint.max_keep_ckpts": -1,
        "default_hooks.checkpoint.save_best": None,
        "custom_hooks": [],
    }
    for name in ("model", "uda", "val_dataloader", "val_cfg", "val_evaluator", "load_from"):
        cfg.pop(name, None)
    cfg.train_dataloader.pop("dataset")
    cfg.merge_from_dict(settings)
    cfg.merge_from_dict(options or {})
    return cfg


def kill_at(event: str, number: int) -> None:
    """Kill this process when something happens for the number-th time: ``predict`` or ``step``."""
    owner, name = {"predict": (Predictor, "__call__"), "step": (SafeTrainLoop, "run_iter")}[event]
    before, happened = getattr(owner, name), []

    def counted(self, *args):
        happened.append(1)
        if len(happened) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return before(self, *args)

    setattr(owner, name, counted)


if __name__ == "__main__":
    path, event, number = sys.argv[1:]
    kill_at(event, int(number))
    train(load_config(path))
