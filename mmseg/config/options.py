"""Values of ``--cfg-options KEY=VALUE``: texts that become what the config holds at their place."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from mmseg.errors import ConfigError

OPENING, QUOTES = {"[": "]", "(": ")", "{": "}"}, "\"'"
NUMBERS = ("inf", "nan")
"""Words that stand for a number."""
WORDS = {"none": None, "true": True, "false": False}


TEXTS = {
    "ann_dir", "data_root", "experiment_name", "img_dir", "img_suffix", "load_from", "pretrained", "prepared",
    "seg_map_suffix", "split", "statistics_dir", "work_dir",
}  # fmt: skip
"""Settings that are texts also where a config leaves them out."""
LISTABLE = {"ann_dir", "data_root", "img_dir", "img_suffix", "seg_map_suffix", "split"}
"""Settings of data sets that are one text or a list of them, whatever a config holds."""


class OptionText(str):
    """What was typed behind the ``=``, before anybody knows what the config holds there."""

    __slots__ = ()


def typed(key: str, value: Any, held: Any, in_part: bool = False) -> Any:
    """The value of an option.

    A text is taken as typed where the config holds a text, unless it is a list and one may stand there;
    ``None`` stands for no text unless it is quoted. Elsewhere it is read as a Python value; words in it need
    no quotes, nor lists brackets.

    Args:
        key: Dotted name of the setting.
        value: An :class:`OptionText`; any other value stays as it is.
        held: What the config holds now; None also where it holds nothing.
        in_part: Whether it is an argument of a registered part, whose signature says better what it takes.

    Raises:
        ConfigError: Brackets or quotes are not closed, or it is not what the config holds: True or False, a
            dict, or (outside of registered parts) a number, unless it is quoted or in brackets.
    """
    if not isinstance(value, OptionText):
        return value
    text, name = value.strip(), key.rpartition(".")[2]
    is_list = _is_list(text) and (held is None or name in LISTABLE)
    if (isinstance(held, str) or (held is None and name in TEXTS)) and not is_list:
        return None if text == "None" else unquoted(text)
    found = value_of(key, text)
    if isinstance(held, bool) and not isinstance(found, bool | None):
        raise ConfigError(f"--cfg-options {key}={text}: expected True or False")
    if isinstance(held, Mapping) and not isinstance(found, Mapping | None):
        raise ConfigError(f"--cfg-options {key}={text}: expected a dict as in Python, {{'name': value}}")
    holds_number = isinstance(held, int | float) and not isinstance(held, bool) and not in_part
    if holds_number and not (_is_number(text, found) or _is_list(text) or text.startswith(tuple(QUOTES))):
        raise ConfigError(f"--cfg-options {key}={text}: expected a number, as {held!r}")
    if isinstance(held, int) and isinstance(found, float) and found.is_integer():
        return int(found)  # 1e5
    texts = isinstance(held, list | tuple) and bool(held) and all(isinstance(each, str) for each in held)
    if texts or (name in LISTABLE and found is not None):
        inner = text[1:-1] if _is_list(text) else text
        parts = [unquoted(part.strip()) for part in split_at_commas(key, inner) if part.strip()]
        if name not in LISTABLE:
            return parts
        listed = [None if part == "None" else part for part in parts]
        return listed if len(listed) != 1 or _is_list(text) else listed[0]
    return found


def _is_number(text: str, value: Any) -> bool:
    is_plain = isinstance(value, int | float | None) and not isinstance(value, bool)
    return is_plain or text.lstrip("-") in NUMBERS


def value_of(key: str, text: str) -> Any:
    """A Python value: ``1e5``, ``true``, ``(512, 512)``; words need no quotes, ``[a,b]``, ``a,b``.

    Raises:
        ConfigError: Brackets or quotes are not closed.
    """
    text = text.strip()
    if text.lower() in WORDS:
        return WORDS[text.lower()]
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        value = ast.literal_eval(text)
        return list(value) if isinstance(value, tuple) and not text.startswith("(") else value
    if _is_list(text):
        values = [value_of(key, part) for part in split_at_commas(key, text[1:-1])]
        return tuple(values) if text[0] == "(" else values
    parts = split_at_commas(key, text)
    return [value_of(key, part) for part in parts] if len(parts) > 1 else unquoted(text)


def unquoted(text: str) -> str:
    """A text without the quotes around it."""
    quoted = len(text) > 1 and text[0] in QUOTES and text[-1] == text[0]
    return text[1:-1] if quoted else str(text)


def split_at_commas(key: str, text: str) -> list[str]:
    """Parts of a text between the commas that stand in no brackets and no quotes.

    Raises:
        ConfigError: Brackets or quotes are not closed.
    """
    parts, start, open_brackets, quote = [], 0, "", ""
    for place, letter in enumerate(text):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in QUOTES and (place == 0 or text[place - 1] in " ,=:[({"):
            quote = letter
        elif letter in OPENING:
            open_brackets += OPENING[letter]
        elif letter in OPENING.values():
            if letter != open_brackets[-1:]:
                raise ConfigError(f"--cfg-options {key}={text}: {letter} closes nothing; quote the option")
            open_brackets = open_brackets[:-1]
        elif letter == "," and not open_brackets:
            parts.append(text[start:place])
            start = place + 1
    if open_brackets or quote:
        raise ConfigError(
            f"--cfg-options {key}={text}: {open_brackets or quote} is missing; quote the whole option in the "
            f'shell, as "{key}=[1, 2]"'
        )
    return [*parts, text[start:]]


def _is_list(text: str) -> bool:
    """Whether a text is one list or tuple, unlike ``[a,b]/x[1]``."""
    if text[:1] not in ("[", "(") or text[-1] != OPENING[text[0]]:
        return False
    try:
        return len(split_at_commas("", text[1:-1])) > 0
    except ConfigError:  # the first bracket is closed before the end
        return False


def held_at(config: Any, key: str) -> Any:
    """What a config holds at a dotted key, whose numbers are places in lists; None for nothing."""
    for name in key.split("."):
        if isinstance(config, Mapping):
            config = config.get(name)
        elif isinstance(config, Sequence) and not isinstance(config, str) and name.isdigit():
            config = config[int(name)] if int(name) < len(config) else None
        else:
            return None
    return config
