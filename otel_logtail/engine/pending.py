"""The open episodes of a source, and when the last breach of each was read. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from otel_logtail.engine.episodes import close_over
from otel_logtail.model import Episode, OpenEpisodes


class Pending:
    """The open episodes of each live path. A live path without one is not remembered."""

    def __init__(self, episodes: Mapping[str, OpenEpisodes], elapsed_ns: int) -> None:
        """``elapsed_ns`` is the time by the monotonic clock: episodes that the store had open count as read then."""
        self._open = dict(episodes)
        self._read_ns = {_key(episode): elapsed_ns for open_ in self._open.values() for episode in _both(open_)}

    def of(self, live: str) -> OpenEpisodes:
        """Return the open episodes of a live path."""
        return self._open.get(live, _NONE)

    def read_ns(self) -> list[int]:
        """Return when the last breach of each open episode was read, by the monotonic clock."""
        return list(self._read_ns.values())

    def close(self, is_over: Callable[[Episode, int], bool]) -> tuple[dict[str, OpenEpisodes], list[Episode]]:
        """Return the episodes that are over by a clock, and those that stay open of the same live paths.

        ``is_over`` gets an episode, and when its last breach was read.
        """
        left: dict[str, OpenEpisodes] = {}
        closed: list[Episode] = []
        for live, open_ in self._open.items():
            still_open, over = close_over(open_, lambda episode: is_over(episode, self._read_ns[_key(episode)]))
            if over:
                left[live] = still_open
                closed += over
        return left, closed

    def replace(self, live: str, open_: OpenEpisodes, elapsed_ns: int) -> None:
        """Set the open episodes of a live path; those that changed were read now."""
        before = {_key(episode): episode for episode in _both(self._open.pop(live, _NONE))}
        if open_.current is not None:
            self._open[live] = open_
        for episode in _both(open_):
            if before.pop(_key(episode), None) != episode:
                self._read_ns[_key(episode)] = elapsed_ns
        for key in before:
            del self._read_ns[key]


_NONE = OpenEpisodes()


def _both(open_: OpenEpisodes) -> list[Episode]:
    return [episode for episode in (open_.current, open_.aside) if episode is not None]


def _key(episode: Episode) -> tuple[str, bytes]:
    """Return the key of an open episode. A log and its copy have episodes with the same ids."""
    return episode.live, episode.span_id
