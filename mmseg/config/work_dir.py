"""Where a run writes, and what its folder and its generated config are called."""

import re
import uuid
from datetime import datetime
from pathlib import Path

from mmengine.config import Config

UNIQUE_NAME = re.compile(r"\d{6}_\d{4}_(?P<name>.+)_[0-9a-f]{5}")
"""What :func:`unique_name` makes of the name of a run."""


def unique_name(name: str) -> str:
    """``yymmdd_HHMM_<name>_<5 hexadecimal digits>``."""
    return f"{datetime.now():%y%m%d_%H%M}_{name}_{uuid.uuid4().hex[:5]}"


def plain_name(name: str) -> str:
    """The name of a run without date and digits, where it has them."""
    match = UNIQUE_NAME.fullmatch(name)
    return match["name"] if match else name


def work_dir_for(name: str, exp: str) -> Path:
    """Folder of a run of run_experiments.py, relative to where the program is started."""
    return Path("work_dirs", exp, name)


def generated_config(name: str, exp: str) -> Path:
    """Where run_experiments.py writes the config of a run, relative to where it is started."""
    return Path("configs", "generated", exp, f"{name}.py")


def work_dir_of(cfg: Config) -> Path:
    """Folder of a training: ``work_dir``, or ``work_dirs/<name of the config file>``."""
    return Path(cfg.get("work_dir") or f"work_dirs/{Path(cfg.filename).stem}")


def work_dir_of_continuation(cfg_file: Path) -> str:
    """Folder of a training with the config in the folder of an old run, which is not to be written to."""
    return f"work_dirs/{cfg_file.stem}_continued"


def work_dir_of_test(checkpoint: str | Path, variants: tuple[str | None, ...] = ()) -> Path:
    """Folder of the scores of a checkpoint: ``test`` beside it, ``test_LR_teacher`` for such variants."""
    return Path(checkpoint).parent / "_".join(filter(None, ("test", *variants)))
