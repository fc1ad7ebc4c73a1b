"""A trainer for tests of the launchers: writes and ends like tools/train.py, without a network.

What it does is in the config: ``iterations`` to take, ``seconds`` each, ``fails`` with a message. It notes
under ``starts`` in its folder how it was started.
"""

from pathlib import Path

from mmseg.launch.process import Job

TRAINER = """
import json, os, signal, sys, time
from pathlib import Path

settings = {}
exec(Path(sys.argv[1]).read_text(), settings)
work_dir = Path(settings["work_dir"])
names = ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")
note = {name: os.environ.get(name) for name in names} | {"arguments": sys.argv[2:], "begin": time.time()}
time.sleep(settings.get("loading", 0))
stop = []
for number in (signal.SIGTERM, signal.SIGUSR1):
    signal.signal(number, lambda number, frame: stop.append(number))
if settings.get("fails"):
    sys.exit("error: " + settings["fails"])
first = 0
if "--resume" in sys.argv:
    first = max(int(path.stem[5:]) for path in work_dir.glob("iter_*.pth"))
log = work_dir / f"{time.time_ns()}" / "vis_data" / "scalars.json"
log.parent.mkdir(parents=True)

def save(iteration):
    import zipfile
    with zipfile.ZipFile(work_dir / f"iter_{iteration}.pth", "w") as archive:
        archive.writestr("weights", "x")

for iteration in range(first + 1, settings["iterations"] + 1):
    time.sleep(settings.get("seconds", 0))
    with log.open("a") as file:
        file.write(json.dumps({"iter": iteration, "step": iteration, "time": 2.0, "loss": 1.0}) + chr(10))
    if stop:
        save(iteration)
        print(f"{signal.Signals(stop[0]).name}: stopped after iteration {iteration}; continue with --resume",
              file=sys.stderr)
        sys.exit(75)
save(settings["iterations"])
(work_dir / "results.json").write_text(json.dumps({"iteration": settings["iterations"], "mIoU": 61.25}))
note["end"] = time.time()
with (work_dir / "starts").open("a") as file:
    file.write(json.dumps(note) + chr(10))
"""


def write_trainer(folder: Path) -> Path:
    """The trainer's file, in the place of tools/train.py."""
    path = folder / "repository" / "tools" / "train.py"
    path.parent.mkdir(parents=True)
    path.write_text(TRAINER)
    return path


def write_job(folder: Path, name: str, **settings) -> Job:
    """A run of the trainer."""
    settings = {"iterations": 3, **settings, "work_dir": str(folder / "work" / name)}
    config = folder / f"{name}.py"
    config.write_text("".join(f"{key} = {value!r}\n" for key, value in settings.items()))
    return Job(name, config, Path(settings["work_dir"]), settings["iterations"])
