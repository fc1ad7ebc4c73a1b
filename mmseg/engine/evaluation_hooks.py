"""What happens with predictions and scores: PNG files, a JSON file, TensorBoard."""

from pathlib import Path

import cv2
from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook

from mmseg.datasets.transforms.loading import read_image
from mmseg.evaluation import IoUMetric, write_scores
from mmseg.registry import HOOKS
from mmseg.visualization.palette_image import blend, save_palette_png


@HOOKS.register_module()
class ResultsHook(Hook):
    """Write the scores of each evaluation to ``WORK_DIR/results.json`` and, during training, to TensorBoard.

    The file holds the last evaluation: iteration, summary and per-class values in percent; classes that occur
    neither in the labels nor in the predictions are null.
    """

    priority = "LOW"

    @master_only
    def after_val_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        self._write(runner, runner.val_evaluator, runner.iter)
        classes = {name.replace(".", "/"): value for name, value in (metrics or {}).items() if "." in name}
        runner.visualizer.add_scalars(classes, step=runner.iter)

    @master_only
    def after_test_epoch(self, runner, metrics: dict[str, float] | None = None) -> None:
        self._write(runner, runner.test_evaluator, None)

    @staticmethod
    def _write(runner, evaluator: Evaluator, iteration: int | None) -> None:
        for metric in evaluator.metrics:
            if isinstance(metric, IoUMetric) and metric.scores is not None:
                write_scores(Path(runner.work_dir) / "results.json", metric.scores, iteration)


@HOOKS.register_module()
class PredictionWriterHook(Hook):
    """Write each test prediction as a PNG at the image's original size.

    Files keep their path relative to the data set's image folder.

    Args:
        out_dir: Folder to write to.
        opacity: 1 writes an indexed PNG of train ids with the palette; less blends the colours with the
            image.
    """

    def __init__(self, out_dir: str, opacity: float = 1.0) -> None:
        self.out_dir = Path(out_dir)
        self.opacity = opacity

    def after_test_iter(self, runner, batch_idx: int, data_batch=None, outputs=None) -> None:
        dataset = runner.test_dataloader.dataset
        for output in outputs or []:
            source = Path(output["img_path"])
            path = (self.out_dir / source.relative_to(dataset.img_dir)).with_suffix(".png")
            path.parent.mkdir(parents=True, exist_ok=True)
            label = output["pred"].byte().cpu().numpy()
            if self.opacity >= 1:
                save_palette_png(path, label, dataset.metainfo["palette"])
            else:
                image = read_image(str(source))
                cv2.imwrite(
                    str(path), blend(image, label, dataset.metainfo["palette"], self.opacity)[..., ::-1]
                )
