"""Speed and memory, each a command that prints one table, in a process as commands have it."""

from mmseg.cli import set_up_process

set_up_process()  # before torch is imported
