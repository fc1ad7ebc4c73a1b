"""What happens with scores: tables, JSON files, TensorBoard, the confusion matrix."""

from pathlib import Path
from typing import Any

from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook
from mmengine.logging import print_log

from mmseg.errors import ConfigError, DataError
from mmseg.evaluation.report import log_scores, write_confusion_matrix, write_results
from mmseg.registry import HOOKS
from mmseg.visualization.confusion_matrix import draw_confusion_matrix


@HOOKS.register_module()
class ResultsHook(Hook):
    """Show and store what the metrics of an evaluation say, see :mod:`mmseg.evaluation.report`.

    Tables go to the log, the last evaluation to ``WORK_DIR/results.json`` and, during training, the values of
    each class to TensorBoard.
    """

    priority = "LOW"

    @master_only
    def after_val_epoch(self, runner, metrics: dict[str, Any] | None = None) -> None:
        self._report(runner.work_dir, runner.val_evaluator, runner.iter, metrics)
        classes = {name.replace(".", "/"): value for name, value in (metrics or {}).items() if "." in name}
        runner.visualizer.add_scalars(classes, step=runner.iter)

    @master_only
    def after_test_epoch(self, runner, metrics: dict[str, Any] | None = None) -> None:
        self._report(runner.work_dir, runner.test_evaluator, None, metrics)

    @staticmethod
    def _report(
        work_dir: str, evaluator: Evaluator, iteration: int | None, scores: dict[str, Any] | None
    ) -> None:
        if scores:  # none without labels
            log_scores(scores, (evaluator.dataset_meta or {}).get("classes", ()))
            write_results(work_dir, iteration, scores, evaluator.metrics)


@HOOKS.register_module()
class ConfusionMatrixHook(Hook):
    """Write the confusion matrix of a test as ``confusion_matrix.png`` and ``confusion_matrix.csv``.

    It is that of the first metric which has one (``confusion``), as IoUMetric.

    Args:
        out_dir: Folder of the files.

    Raises:
        ConfigError: No metric has one.
        DataError: The files cannot be written.
    """

    def __init__(self, out_dir: str) -> None:
        self.out_dir = Path(out_dir)

    def before_test(self, runner) -> None:
        if not any(hasattr(metric, "confusion") for metric in runner.test_evaluator.metrics):
            raise ConfigError(
                "--confusion-matrix: no metric of test_evaluator has one; add dict(type='IoUMetric')"
            )

    @master_only
    def after_test_epoch(self, runner, metrics: dict[str, Any] | None = None) -> None:
        evaluator = runner.test_evaluator
        classes = evaluator.dataset_meta["classes"]
        counts = next(metric.confusion for metric in evaluator.metrics if hasattr(metric, "confusion"))
        picture = self.out_dir / "confusion_matrix.png"
        try:
            self.out_dir.mkdir(parents=True, exist_ok=True)
            write_confusion_matrix(self.out_dir / "confusion_matrix.csv", counts, classes)
            draw_confusion_matrix(counts.numpy(), classes, picture)
        except OSError as error:
            raise DataError(
                f"--confusion-matrix {self.out_dir}: cannot be written ({error.strerror}); make room or "
                "choose another folder"
            ) from error
        print_log(f"Confusion matrix: {picture}", "current")
