"""The errors a user can cause and mend.

Each message names the thing at fault, what was found, what was expected and what to do. The command line
tools print the message alone; anything that is not one of these is a defect of the framework and keeps its
traceback.
"""

import errno

STORAGE_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EROFS, errno.ESTALE)
"""What the system says when a file cannot be written for reasons outside of this framework."""


class MMSegError(Exception):
    """Base of all errors that are explained to the user."""


class ConfigError(MMSegError):
    """A config names something that does not exist or does not fit together."""


class DataError(MMSegError):
    """A data set, image, label or statistics file is missing, damaged or inconsistent."""


class CheckpointError(MMSegError):
    """A weight file is missing, damaged or belongs to another network."""


class TrainingError(MMSegError):
    """A run cannot go on: its losses are not finite, or a data worker died."""


class Preempted(MMSegError):
    """A run was asked to stop, has saved its state and can be resumed."""

    exit_code = 75  # EX_TEMPFAIL of sysexits.h: worth another try
