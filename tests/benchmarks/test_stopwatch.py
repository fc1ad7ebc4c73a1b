"""The stopwatch of the benchmarks."""

import time

from benchmarks.stopwatch import Stopwatch


def test_a_stopwatch_charges_inner_phases_to_themselves():
    class Work:
        def outer(self):
            time.sleep(0.02)
            self.inner()

        def inner(self):
            time.sleep(0.05)

    watch, work = Stopwatch("cpu"), Work()
    watch.time(work, "outer", lambda: ("outer", "forward"))
    watch.time(work, "inner", lambda: ("inner", "forward"))
    work.outer()
    time.sleep(0.03)  # between two steps
    work.outer()
    steps = watch.steps()
    assert len(steps) == 2
    for seconds in steps:
        assert 0.02 <= seconds["outer", "forward"] < 0.05 <= seconds["inner", "forward"]
    assert watch.steps() == []


def test_seconds_count_what_still_runs_and_tell_waiting_from_computing():
    watch = Stopwatch()

    @watch.phase("computing")
    def compute():
        begin = time.process_time()
        while time.process_time() < begin + 0.03:
            pass

    with watch.phase("waiting"):
        time.sleep(0.05)
        compute()
        seconds = watch.seconds()
        assert seconds["waiting"].wall >= 0.05 > seconds["waiting"].cpu
        assert seconds["computing"].cpu >= 0.03
        time.sleep(0.02)
    compute()
    seconds = watch.seconds()
    assert seconds["waiting"].wall >= 0.02 and 0.03 <= seconds["computing"].cpu < 0.06
    assert watch.seconds() == {}


class Event:
    """In the place of an event on a stream that takes half a second between any two marks."""

    recorded = 0

    def __init__(self, enable_timing):
        assert enable_timing

    def record(self):
        self.milliseconds = 500 * Event.recorded
        Event.recorded += 1

    def synchronize(self):
        assert self.milliseconds == 500 * (Event.recorded - 1)  # the last one: the others are over by then

    def elapsed_time(self, later):
        return later.milliseconds - self.milliseconds


def test_on_a_gpu_the_stream_is_timed(monkeypatch):
    monkeypatch.setattr("torch.cuda.Event", Event)
    watch = Stopwatch("cuda")
    for _ in range(2):
        with watch.phase("outer"), watch.phase("inner"):
            pass
    assert watch.steps() == [{"outer": 1.0, "inner": 0.5}] * 2
