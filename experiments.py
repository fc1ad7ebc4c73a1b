"""The experiment IDs that run_experiments.py knows: those of the papers, and your own.

The papers' are in mmseg/experiments/table.py. Add rows of your own below; docs/experiments.md shows how.
"""

from mmseg.experiments.table import *  # noqa: F403
