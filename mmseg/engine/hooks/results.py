"""What happens with scores: a JSON file, TensorBoard."""

from pathlib import Path

from mmengine.dist import master_only
from mmengine.evaluator import Evaluator
from mmengine.hooks import Hook

from mmseg.evaluation import CalibrationMetric, IoUMetric, write_json, write_scores
from mmseg.registry import HOOKS


@HOOKS.register_module()
class ResultsHook(Hook):
    """Write the scores of each evaluation to ``WORK_DIR/results.json`` and, during training, to TensorBoard.

    The file holds the last evaluation: iteration, summary and per-class values in percent; classes that occur
    neither in the labels nor in the predictions are null. Where calibration is measured, its table goes to
    ``WORK_DIR/calibration.json``.
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
        work_dir, further = Path(runner.work_dir), {}
        for metric in evaluator.metrics:
            if isinstance(metric, CalibrationMetric) and metric.reliability is not None:
                error = 100 * metric.reliability.expected_error
                further["ECE"] = error
                write_json(work_dir / "calibration.json", dict(ECE=error, bins=metric.reliability.rows()))
        for metric in evaluator.metrics:
            if isinstance(metric, IoUMetric) and metric.scores is not None:
                write_scores(work_dir / "results.json", metric.scores, iteration, further)
