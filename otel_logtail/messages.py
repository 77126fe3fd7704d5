"""Messages of the log and their conditions: the base of :class:`~otel_logtail.events.Reporter`.

A method of the reporter returns a message. :func:`event` makes it a method that logs the message, with the name of the
event and the method's arguments as its fields.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any, Concatenate, ParamSpec, TypeVar

import msgspec

from otel_logtail.log import Level, Log

P = ParamSpec("P")
Self = TypeVar("Self", bound="Messages")


class Message(msgspec.Struct, frozen=True):
    """One message.

    ``key`` names a condition that lasts: the message is logged only if it starts it or, with ``is_end``, ends it.
    ``more`` are fields beside the arguments of the event.
    """

    level: Level
    text: str
    key: str = ""
    is_end: bool = False
    more: Mapping[str, Any] = {}


def say(level: Level, text: str) -> Message:
    """Return a message that is logged each time."""
    return Message(level, text)


def begin(key: str, level: Level, text: str) -> Message:
    """Return a message that is logged once, when a condition starts."""
    return Message(level, text, key)


def end(key: str, text: str, **more: Any) -> Message:
    """Return a message that is logged if the condition holds, which is then over."""
    return Message("info", text, key, True, more)


def event(
    name: str,
) -> Callable[[Callable[Concatenate[Self, P], Message | None]], Callable[Concatenate[Self, P], None]]:
    """Make a method that returns a message log it, as the event of this name."""

    def decorate(method: Callable[Concatenate[Self, P], Message | None]) -> Callable[Concatenate[Self, P], None]:
        names = method.__code__.co_varnames[1 : method.__code__.co_argcount]  # inspect.signature is 50 times slower

        def report(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> None:
            message = method(self, *args, **kwargs)
            if message is not None and self._is_due(message):
                fields = {**dict(zip(names, args, strict=False)), **kwargs, **message.more}
                self.log.write(message.level, message.text, name, _flat(fields))

        report.__wrapped__ = method  # type: ignore[attr-defined]  # its signature and its docstring
        report.__doc__ = method.__doc__
        return report

    return decorate


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with those of a record in its place, and without a text that is the message."""
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        if isinstance(value, msgspec.Struct):
            flat |= msgspec.to_builtins(value)
        elif name != "text":
            flat[name] = value
    return flat


class Messages:
    """Logs messages, and keeps the conditions that are not over. Thread-safe."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self._lock = threading.Lock()
        self._going_on: dict[str, Message] = {}

    def redact(self, text: str) -> str:
        """Return text without secrets."""
        return self.log.redact(text)

    def troubles(self, *kinds: str) -> list[str]:
        """Return the warnings whose condition is not over, the oldest first.

        If there are ``kinds``, the key of the condition starts with one of them.
        """
        with self._lock:
            return [
                self.redact(found.text)
                for key, found in self._going_on.items()
                if found.level != "info" and key.startswith(kinds or "")
            ]

    def forget(self, key: str) -> None:
        """End a condition without a message."""
        with self._lock:
            self._going_on.pop(key, None)

    def _is_due(self, message: Message) -> bool:
        if not message.key:
            return True
        with self._lock:
            if message.is_end:
                return self._going_on.pop(message.key, None) is not None
            if message.key in self._going_on:
                return False
            self._going_on[message.key] = message
            return True
