"""Testing a checkpoint."""

import copy
from pathlib import Path

from mmengine.config import Config

from mmseg.apis.train import build_runner
from mmseg.models.pretrained import require_file

TRAINING_KEYS = (
    "train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler", "uda", "auto_scale_lr",
    "val_dataloader", "val_cfg", "val_evaluator",
)  # fmt: skip


def test(
    cfg: Config, checkpoint: str | Path, show_dir: str | Path | None = None, opacity: float = 1.0
) -> dict[str, float]:
    """Evaluate the student of a checkpoint on the config's test set.

    Args:
        cfg: The config the checkpoint was trained with.
        checkpoint: A file of our runner or of the published code.
        show_dir: Where to write one PNG per image; None = nowhere.
        opacity: See :class:`~mmseg.engine.PredictionWriterHook`.

    Returns:
        The scores in percent; also written to ``cfg.work_dir/results.json`` and printed as a table.

    Raises:
        DataError, CheckpointError: Data or weights are missing or do not fit.
    """
    require_file(str(checkpoint))
    cfg = copy.deepcopy(cfg)
    for key in TRAINING_KEYS:
        cfg.pop(key, None)
    cfg.model.pretrained = None
    cfg.load_from = str(checkpoint)
    cfg.resume = False
    cfg.custom_hooks = []
    cfg.visualizer = dict(type="Visualizer")
    if show_dir is not None:
        cfg.custom_hooks = [dict(type="PredictionWriterHook", out_dir=str(show_dir), opacity=opacity)]
    return build_runner(cfg).test()
