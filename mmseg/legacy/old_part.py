"""A part of an old config, whose entries are taken out one by one so that none is lost without a word."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from mmseg.errors import ConfigError


class OldPart:
    """A dictionary of an old config that is being translated.

    Args:
        values: The dictionary; it stays as it is.
        place: Where it stands in the config, for messages.
        unknown: Collects the dotted names of entries that nobody took; shared with all inner parts.

    Raises:
        ConfigError: ``values`` is no dictionary.
    """

    def __init__(self, values: Any, place: str = "", unknown: list[str] | None = None) -> None:
        if not isinstance(values, Mapping):
            raise ConfigError(
                f"old config: {place or 'the config'} is a {type(values).__name__}, expected a dictionary"
            )
        self.values = {key: copy.deepcopy(value) for key, value in values.items()}
        self.place = place
        self.unknown: list[str] = [] if unknown is None else unknown

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def name(self, key: str) -> str:
        """The dotted name of an entry."""
        return f"{self.place}.{key}" if self.place else key

    def take(self, key: str, default: Any = None) -> Any:
        """An entry, which counts as translated then."""
        return self.values.pop(key, default)

    def need(self, key: str) -> Any:
        """An entry that has to be there.

        Raises:
            ConfigError: It is not.
        """
        if key not in self.values:
            raise ConfigError(
                f"old config: {self.name(key)} is missing; restore it from the run's config, or use the "
                "config that was stored in the run's folder"
            )
        return self.values.pop(key)

    def part(self, key: str) -> OldPart:
        """An inner dictionary; empty where there is none."""
        return OldPart(self.values.pop(key, None) or {}, self.name(key), self.unknown)

    def inner(self, value: Any, name: str) -> OldPart:
        """A dictionary that was taken out, or an item of a list, as a part."""
        return OldPart(value, self.name(name), self.unknown)

    def ignore(self, *keys: str) -> None:
        """Drop entries that mean nothing here."""
        for key in keys:
            self.values.pop(key, None)

    def expect(self, key: str, *accepted: Any, because: str) -> None:
        """Drop an entry of which only some values have a counterpart.

        Args:
            key: The entry.
            accepted: Values that agree with what happens without the entry.
            because: What is done here, or what to do instead.

        Raises:
            ConfigError: It has another value.
        """
        if key not in self.values:
            return
        value = self.values.pop(key)
        if not any(value == known for known in accepted):
            raise ConfigError(
                f"old config: {self.name(key)}={value!r} cannot be translated, expected "
                f"{' or '.join(map(repr, accepted))}: {because}"
            )

    def close(self) -> None:
        """Report the entries that nobody took."""
        self.unknown += map(self.name, self.values)

    def refuse_rest(self, because: str) -> None:
        """The end of a part in which every entry changes results.

        Raises:
            ConfigError: An entry is left that nobody took.
        """
        if self.values:
            entries = ", ".join(f"{self.name(key)}={value!r}" for key, value in self.values.items())
            raise ConfigError(f"old config: {entries} cannot be translated: {because}")
