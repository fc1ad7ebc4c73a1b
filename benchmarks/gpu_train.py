"""Training on toy scenes with the networks and crops of the papers, as a user would start it."""

import json
import os
import signal
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.checkpoints.files import find_checkpoint, numbered_checkpoints
from mmseg.config.load import load_config
from mmseg.datasets.conversion.cityscapes import convert_cityscapes
from mmseg.datasets.conversion.gta import GTA
from mmseg.datasets.conversion.runner import convert_dataset
from mmseg.models.backbones.mix_transformer import ARCHITECTURES
from mmseg.toy import make_toy_dataset

ROOT = Path(__file__).parents[1]
LADDER = ("source_only", "daformer", "hrda", "mic_hrda")
"""Configs of the quickstart; each starts from the weights of the first."""
LENGTHS = ("crop_size", "hr_crop_size", "stride", "scale", "mask_block_size")
AREAS = ("min_pixels",)
TOY_SIZE, TOY_CROP = (512, 256), 128
"""Width and height of the scenes of the quickstart, and its crops."""
MIT, CHANNELS = "mit_b5", 256
FULL, SMALL = 4, 0.5
"""Size of scenes and crops relative to the quickstart: 512² and, to try the command, 64²."""
FINAL = 40
"""Seconds for a checkpoint and the end of a process that was asked to stop."""
PREEMPTED = 75
"""Exit status of a run that stopped with a checkpoint."""


def prepare(name: str, folder: Path, device: str, tiny: bool) -> Path:
    """Draw the scenes unless they are there, and write the config of a run.

    Args:
        name: One of :data:`LADDER`.
        folder: Of all runs.
        device: Runs on a GPU are in bfloat16.
        tiny: Small scenes, the small network and a few iterations.

    Raises:
        FileNotFoundError: The run that it starts from has no checkpoint yet.
    """
    factor, workers = (SMALL, 0) if tiny else (FULL, min(12, os.cpu_count() or 1))
    data = write_scenes(folder / "data", factor, *((4, 2) if tiny else (200, 20)))
    cfg = load_config(ROOT / "configs" / "quickstart" / f"{name}.py")
    enlarge(cfg._cfg_dict, factor)
    move(cfg._cfg_dict, data)
    iterations = 2 if tiny else 1500 if name == LADDER[0] else 1000
    cfg.merge_from_dict(
        {
            "train_cfg.max_iters": iterations,
            "train_cfg.val_interval": iterations,
            "default_hooks.checkpoint.interval": iterations,
            "default_hooks.logger.interval": 1 if tiny else 50,
            "train_dataloader.num_workers": workers,
            "val_dataloader.num_workers": workers // 2,
            "custom_hooks": [],
            "env_cfg.cudnn_benchmark": True,
            "optim_wrapper.precision": "bf16" if device == "cuda" else "fp32",
        }
    )
    if not tiny:
        full_width(cfg)
    if name != LADDER[0]:
        start = str(find_checkpoint(folder / LADDER[0]))
        cfg.load_from = cfg.model.pretrained = start
    path = folder / f"{name}.py"
    cfg.dump(path)
    return path


def write_scenes(folder: Path, factor: float, train: int, val: int) -> Path:
    """Source and target of the quickstart at another size; what is there stays."""
    size, processes = (int(TOY_SIZE[0] * factor), int(TOY_SIZE[1] * factor)), os.cpu_count() or 1
    make_toy_dataset(folder, ["gta", "cityscapes"], size, train, val, nproc=processes)
    convert_dataset(GTA, str(folder / "gta"), nproc=processes)
    convert_cityscapes(str(folder / "cityscapes"), nproc=processes)
    return folder


def enlarge(part: Any, factor: float) -> None:
    """Multiply lengths in a config, and what counts pixels by the square."""
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        enlarge(value, factor)
    if not isinstance(part, dict):
        return
    for key in part.keys() & {*LENGTHS, *AREAS}:
        power = factor if key in LENGTHS else factor**2
        value = part[key]
        part[key] = int(value * power) if isinstance(value, int) else tuple(int(x * power) for x in value)


def move(part: Any, data: Path) -> None:
    """Have the data sets of a config read from another folder."""
    for value in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        move(value, data)
    if isinstance(part, dict) and "data_root" in part:
        part["data_root"] = str(data / Path(part["data_root"]).name)


def full_width(cfg: Config) -> None:
    """The network of the papers instead of the small one."""
    cfg.model.backbone.type = MIT
    head = cfg.model.decode_head
    head.in_channels, head.channels = list(ARCHITECTURES[MIT][0]), CHANNELS
    head.decoder_params.embed_dims = CHANNELS


def train(config: Path, work_dir: Path, seconds: float) -> dict[str, Any]:
    """Train, or go on training, as long as there is time.

    Args:
        config: File of the run.
        work_dir: Its folder, in which it goes on.
        seconds: When they are over it stops with a checkpoint, and the numbers say ``unfinished``.

    Returns:
        ``iterations`` so far, ``iterations_per_second`` (median of the log lines after the first, data
        included), ``data_share`` of the time that waited for data, ``peak_memory`` in bytes, and ``mIoU`` at
        the end.
    """
    work_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, str(ROOT / "tools" / "train.py"), str(config), "--work-dir", str(work_dir)]
    command += ["--resume"] if numbered_checkpoints(work_dir) else []
    with (work_dir / "output.log").open("a") as log:
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = {**os.environ, "PYTHONPATH": path}
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, cwd=ROOT, env=environment)
        try:
            status = process.wait(max(seconds - FINAL, 1))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGTERM)
            try:
                status = process.wait(FINAL)
            except subprocess.TimeoutExpired:
                process.kill()
                status = process.wait()
    numbers = numbers_of(work_dir)
    if status in (PREEMPTED, -signal.SIGKILL):
        return numbers | {"unfinished": True}
    if status:
        tail = (work_dir / "output.log").read_text().splitlines()[-15:]
        return numbers | {"failures": [f"{config.name}: exit status {status}", *tail]}
    return numbers | {"mIoU": json.loads((work_dir / "results.json").read_text())["mIoU"]}


def numbers_of(work_dir: Path) -> dict[str, Any]:
    """What the log of a run says so far."""
    logs = sorted(work_dir.glob("*/vis_data/scalars.json"))
    lines = [json.loads(line) for log in logs for line in log.read_text().splitlines()]
    steps = [line for line in lines if "time" in line and "lr" in line]
    if not steps:
        return {"iterations": 0}
    settled = steps[1:] or steps
    seconds = statistics.median(line["time"] for line in settled)
    waiting = statistics.median(line["data_time"] for line in settled)
    return {
        "iterations": steps[-1]["step"],
        "iterations_per_second": 1 / seconds,
        "data_share": waiting / seconds,
        "peak_memory": max(line.get("memory", 0) for line in steps) * 2**20,
        "losses": {name: value for name, value in steps[-1].items() if "loss" in name},
    }
