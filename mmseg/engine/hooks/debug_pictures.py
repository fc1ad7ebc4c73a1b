"""Pictures of training steps."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.hooks import Hook

from mmseg.engine.hooks.trackers import show_picture
from mmseg.registry import HOOKS
from mmseg.visualization.debug_pictures import draw_step


@HOOKS.register_module()
class DebugPicturesHook(Hook):
    """Draw what a UDA step saw: images, labels, pseudo-labels, the mixed image, weights, masks.

    Writes ``WORK_DIR/debug/{iteration:06d}_{sample}.png`` in the first iteration and then every ``interval``;
    the picture of the first sample also goes to the trackers of the run.

    Args:
        interval: Iterations between pictures.
    """

    priority = "LOW"

    def __init__(self, interval: int = 1000) -> None:
        self.interval = interval

    @master_only
    def before_train_iter(self, runner, batch_idx: int, data_batch: dict | None = None) -> None:
        if data_batch is not None and batch_idx % self.interval == 0:
            data_batch["wants_pictures"] = True  # read by the step; in all others no picture is made

    @master_only
    def after_train_iter(self, runner, batch_idx: int, data_batch=None, outputs: dict | None = None) -> None:
        pictures = (outputs or {}).get("pictures")
        if not pictures:
            return
        model = getattr(runner.model, "module", runner.model)
        paths = draw_step(
            pictures,
            denormalize=model.data_preprocessor.denormalize,
            palette=runner.train_dataloader.dataset.metainfo["palette"],
            out_dir=Path(runner.work_dir) / "debug",
            prefix=f"{batch_idx + 1:06d}",
        )
        show_picture(runner.visualizer, "debug", paths[0], batch_idx + 1)
