"""The runs of an experiment on disk: their names, configs and folders, and which of them are finished."""

import glob
import json
import subprocess
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmseg.checkpoints.files import find_config
from mmseg.config.load import load_config
from mmseg.config.work_dir import generated_config, plain_name, work_dir_for
from mmseg.errors import ConfigError
from mmseg.launch.run_state import read_state

ROOT = Path(__file__).parents[2]
"""The folder that the package lies in: the checkout, or that of all installed packages."""
IDENTITY = ("name", "work_dir", "git_rev", "load_from")
"""What may differ between a run and its continuation; the start weights are written when a run is started."""


def git_revision() -> str:
    """The checkout's commit, or an empty string where the package is not in one."""
    if not (ROOT / ".git").exists():
        return ""
    command = ["git", "rev-parse", "HEAD"]
    try:
        return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:  # git is not installed
        return ""


def write_config(cfg: Config, name: str, exp: str) -> Path:
    """Write the complete config of a run.

    Args:
        cfg: The run's config; its name, folder and git revision are set.
        name: Its unique name.
        exp: Folder in configs/generated and work_dirs.

    Raises:
        ConfigError: The file exists already.
    """
    path = generated_config(name, exp)
    if path.exists():
        raise ConfigError(f"{path}: exists already; start the run again to get another name")
    path.parent.mkdir(parents=True, exist_ok=True)
    cfg.merge_from_dict(dict(name=name, work_dir=str(work_dir_for(name, exp)), git_rev=git_revision()))
    cfg.dump(path)
    return path


# -------------------------------------------------------------------------------------------------- folders


def folders_of(name: str, exp: str) -> list[Path]:
    """The folders of a run, the one that was started last comes first."""
    found = [
        path
        for path in Path("work_dirs", exp).glob(f"*_{glob.escape(name)}_*")
        if path.name != name == plain_name(path.name)
    ]

    def age(path: Path) -> tuple[str, float]:
        state = read_state(path)
        return path.name[:11], state.created if state else path.stat().st_mtime

    return sorted(found, key=age, reverse=True)


def is_finished(run_dir: Path, iterations: int) -> bool:
    """Whether a run has its last checkpoint and the scores of that, or has ended well without evaluation."""
    state = read_state(run_dir)
    if state and state.exit_status == 0 and state.max_iters == iterations:
        return True
    if not (run_dir / f"iter_{iterations}.pth").is_file():
        return False
    try:
        scores = json.loads((run_dir / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    evaluated = scores.get("iteration")  # a test of the finished run does not write it
    return evaluated is None or evaluated >= iterations


def config_in(run_dir: Path, exp: str) -> Path | None:
    """The config that a run was started with, if it is still there."""
    generated = generated_config(run_dir.name, exp)
    if generated.is_file():
        return generated
    try:
        return find_config(run_dir)
    except ConfigError:
        return None


def differing_sections(cfg: Config, stored: Path) -> list[str]:
    """Top-level keys in which a config differs from a stored one, but for name and start weights."""
    new, old = (_comparable(part.to_dict()) for part in (cfg, load_config(stored)))
    return sorted(key for key in new.keys() | old.keys() if new.get(key) != old.get(key))


def _comparable(content: dict[str, Any]) -> dict[str, Any]:
    content = {key: value for key, value in content.items() if key not in IDENTITY}
    if isinstance(content.get("model"), dict):
        content["model"] = {key: x for key, x in content["model"].items() if key != "pretrained"}
    return json.loads(json.dumps(_without_checkpoints(content), default=repr))  # tuples are stored as lists


def _without_checkpoints(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: x for key, x in value.items() if not (key == "checkpoint" and isinstance(x, str))}
        return {key: _without_checkpoints(x) for key, x in kept.items()}
    return [_without_checkpoints(x) for x in value] if isinstance(value, list | tuple) else value
