"""Hooks around a step, each alone."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.hooks import LoggerHook
from mmengine.logging import MessageHub
from mmengine.visualization import LocalVisBackend, Visualizer
from networks import tiny

from mmseg.engine import BufferedRuntimeInfoHook, DebugPicturesHook, IterationRandomnessHook, ResultsHook
from mmseg.engine.hooks.runtime_info import summary_of
from mmseg.errors import TrainingError
from mmseg.evaluation import IoUMetric
from mmseg.models.data_preprocessor import SegDataPreprocessor
from mmseg.models.uda import UDADecorator
from mmseg.registry import HOOKS
from mmseg.visualization.grid import GAP, LINE_HEIGHT, MIN_WIDTH


def numbers_of_iteration(seed, iteration):
    torch.rand(3)  # what came before does not matter
    IterationRandomnessHook().before_train_iter(SimpleNamespace(seed=seed, iter=iteration), iteration)
    return torch.rand(4).tolist()


def test_random_numbers_are_a_function_of_seed_and_iteration(monkeypatch):
    first = numbers_of_iteration(0, 5)
    assert numbers_of_iteration(0, 5) == first
    assert numbers_of_iteration(0, 6) != first
    assert numbers_of_iteration(1, 5) != first
    monkeypatch.setattr("mmseg.engine.hooks.iteration_randomness.get_rank", lambda: 1)
    assert numbers_of_iteration(0, 5) != first, "each process draws its own numbers"


@pytest.fixture
def runner(request):
    """What the logging hook looks at."""
    hub = MessageHub.get_instance(request.node.name)
    return SimpleNamespace(
        model=None,
        optim_wrapper=None,
        hooks=[LoggerHook(interval=3)],
        max_iters=5,
        message_hub=hub,
        cfg=SimpleNamespace(pretty_text=""),
        seed=0,
        iter=0,
        epoch=0,
        max_epochs=1,
        train_dataloader=SimpleNamespace(dataset=None),
    )


def test_losses_are_read_when_a_log_line_is_due(runner):
    hook = BufferedRuntimeInfoHook()
    hook.before_train(runner)
    seen = []
    for iteration in range(5):
        outputs = dict(loss=torch.tensor(float(iteration)), pictures={}, table=torch.zeros(2))
        hook.after_train_iter(runner, iteration, outputs=outputs)
        logged = runner.message_hub.log_scalars.get("train/loss")
        seen.append(0 if logged is None else len(logged.data[0]))
    assert seen == [0, 0, 3, 3, 5], "every third iteration, and the last one"
    assert runner.message_hub.get_scalar("train/loss").data[0].tolist() == [0, 1, 2, 3, 4]
    assert "train/table" not in runner.message_hub.log_scalars


def test_a_method_may_end_the_run_for_what_it_has_logged(runner):
    class Impatient(UDADecorator):
        def check_values(self, iteration, values):
            if values["weak"] > 1:
                raise TrainingError(f"iteration {iteration}: too weak")

    runner.model = Impatient(tiny())
    hook = BufferedRuntimeInfoHook()
    hook.before_train(runner)
    for iteration in range(2):
        hook.after_train_iter(runner, iteration, outputs=dict(weak=torch.tensor(iteration + 1)))
    with pytest.raises(TrainingError, match="iteration 2: too weak"):
        hook.check_steps(runner)
    with pytest.raises(TrainingError, match="iteration 2: too weak"):
        hook.after_train_iter(runner, 2, outputs=dict(weak=torch.tensor(0)))


def test_checkpoint_holds_all_values_so_far(runner):
    hook = BufferedRuntimeInfoHook()
    hook.before_train(runner)
    hook.after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(2.0)))
    checkpoint = {}
    hook.before_save_checkpoint(runner, checkpoint)
    assert checkpoint["message_hub"]["log_scalars"]["train/loss"].current() == 2.0


def test_summary_leaves_out_single_classes():
    assert summary_of({"mIoU": 1.0, "IoU.road": 2.0}) == {"mIoU": 1.0}
    assert summary_of(None) == {}


def test_debug_pictures_are_drawn_at_the_interval(tmp_path):
    tracked: list[tuple] = []
    preprocessor = SegDataPreprocessor()
    runner = SimpleNamespace(
        model=SimpleNamespace(data_preprocessor=preprocessor),
        train_dataloader=SimpleNamespace(dataset=SimpleNamespace(metainfo=dict(palette=[(10, 20, 30)]))),
        work_dir=str(tmp_path),
        visualizer=SimpleNamespace(
            _vis_backends=dict(
                local=LocalVisBackend(str(tmp_path / "vis_data")),
                tracker=SimpleNamespace(add_image=lambda *shown: tracked.append(shown)),
            )
        ),
    )
    red = preprocessor.normalize01(torch.tensor([1.0, 0.0, 0.0]).view(1, 3, 1, 1).expand(2, 3, 8, 12))
    pictures = dict(
        image=red, label=torch.zeros(2, 8, 12, dtype=torch.long), weight=torch.full((2, 4, 6), 0.5)
    )
    hook = DebugPicturesHook(interval=2)
    hook.after_train_iter(runner, 0, outputs=dict(loss=torch.tensor(0.0)))
    assert not (tmp_path / "debug").exists(), "nothing to draw"
    for iteration in range(3):
        batch: dict = {}
        hook.before_train_iter(runner, iteration, batch)
        wanted = pictures if batch.get("wants_pictures") else {}  # what a step makes of it
        hook.after_train_iter(runner, iteration, batch, dict(pictures=wanted))
    names = sorted(path.name for path in (tmp_path / "debug").iterdir())
    assert names == ["000001_0.png", "000001_1.png", "000003_0.png", "000003_1.png"]
    grid = cv2.imread(str(tmp_path / "debug" / names[0]))[..., ::-1]
    assert grid.shape == (LINE_HEIGHT + 8, 3 * MIN_WIDTH + 2 * GAP, 3)
    middle = [grid[22, (MIN_WIDTH + GAP) * column + 6].tolist() for column in range(3)]
    assert middle == [[255, 0, 0], [10, 20, 30], [127, 127, 127]]
    assert [(name, step) for name, _, step in tracked] == [("debug", 1), ("debug", 3)]
    np.testing.assert_array_equal(tracked[0][1], grid)
    assert not (tmp_path / "vis_data").exists(), "the folder of the run has the picture already"


def test_results_are_written_after_each_evaluation(tmp_path, request):
    metric = IoUMetric()
    metric.dataset_meta = dict(classes=("road", "car", "sky"), palette=[(0, 0, 0)] * 3)
    pred, gt = torch.tensor([[0, 0], [1, 1]]), torch.tensor([[0, 0], [1, 0]])
    metric.process({}, [dict(pred=pred.byte(), gt=gt, img_path="a.png")])
    values = metric.evaluate(1)
    drawn = {}
    visualizer = Visualizer.get_instance(request.node.name)
    visualizer.add_scalars = lambda scalars, step: drawn.update({step: scalars})
    evaluator = SimpleNamespace(metrics=[metric], dataset_meta=metric.dataset_meta)
    runner = SimpleNamespace(
        val_evaluator=evaluator,
        test_evaluator=evaluator,
        iter=7,
        work_dir=str(tmp_path),
        visualizer=visualizer,
    )
    hook = HOOKS.build(dict(type="ResultsHook"))
    assert isinstance(hook, ResultsHook)
    hook.after_val_epoch(runner, values)
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["iteration"] == 7
    assert found["IoU.road"] == pytest.approx(100 * 2 / 3) and found["IoU.car"] == pytest.approx(50)
    assert found["IoU.sky"] is None
    assert found["mIoU"] == pytest.approx((100 * 2 / 3 + 50) / 2)
    assert drawn[7]["IoU/car"] == 50 and "mIoU" not in drawn[7]
    assert np.isnan(drawn[7]["IoU/sky"])

    hook.after_test_epoch(runner, values)
    assert json.loads((tmp_path / "results.json").read_text())["iteration"] is None
