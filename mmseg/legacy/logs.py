"""Lines of the logs of mmsegmentation 0.x, ``RUN_DIR/<start>.log.json``."""

from typing import Any

SCORES = ("aAcc", "mIoU", "mAcc", "IoU", "Acc")


def todays_line(old: dict[str, Any], last: int, interval: int) -> dict[str, Any]:
    """A line as it is logged today.

    Old scores are fractions. An evaluation was logged instead of the next line of training, sometimes with
    the number of images in place of the iteration.

    Args:
        old: The line, which has a ``mode``.
        last: Iteration of the line of training before it.
        interval: Iterations between the lines of training.
    """
    iteration = int(old.get("iter", 0))
    if old["mode"] == "train":
        return {**old, "iter": iteration, "step": iteration}
    scores = {name: 100 * value for name, value in old.items() if name.split(".")[0] in SCORES}
    is_iteration = last < iteration <= last + interval or not interval
    return {**scores, "step": iteration if is_iteration else last + interval}
