"""An object in a process of its own, with its own environment."""

import multiprocessing
import os
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from typing import Any
from unittest.mock import patch

_object: Any = None


def _build(build: Callable[..., Any], args: tuple[Any, ...]) -> None:
    global _object
    _object = build(*args)


def _call(method: str, args: tuple[Any, ...]) -> Any:
    return getattr(_object, method)(*args)


class Worker:
    """The process; to be used in a ``with`` statement.

    Args:
        build: Makes the object.
        args: For ``build``.
        environment: Variables of the process, beside those of this one.
    """

    def __init__(self, build: Callable[..., Any], *args: Any, environment: Mapping[str, str]) -> None:
        spawn = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, spawn)
        with patch.dict(os.environ, environment):
            self._built = self._pool.submit(_build, build, args)  # starts the process, with this environment

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def ask(self, method: str, *args: Any) -> Any:
        """Call a method of the object."""
        self._built.result()  # raises what building raised
        return self._pool.submit(_call, method, args).result()
