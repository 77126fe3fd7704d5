"""Finds the live paths: the files that match the patterns now, without copies and rotated files."""

from __future__ import annotations

import glob
import os
from collections.abc import Callable, Collection, Iterable

from otel_logtail.errors import UsageError
from otel_logtail.observer import PathRule
from otel_logtail.tail.directories import FILE, LINK, Folders, Listing
from otel_logtail.tail.naming import is_compressed, is_rotated_in, is_rotated_name, plain_name, siblings
from otel_logtail.tail.patterns import Part, Patterns, as_written


def discover(
    patterns: Iterable[str] | Patterns,
    rule: PathRule,
    *,
    trusted: bool,
    folders: Folders | None = None,
    now_s: float = 0.0,
    stopping: Callable[[], bool] = lambda: False,
) -> list[str]:
    """Return the live paths that match now, by pattern and name.

    A pattern without wildcards names one live path, whatever the name is. Copies and rotated files
    that another pattern matches are not live paths.

    Args:
        patterns: Absolute patterns.
        rule: What names mean.
        trusted: Whether the patterns are the user's. If not, only names that match the rule are live.
        folders: The names in directories, as of this moment.
        now_s: A monotonic clock.
        stopping: Whether the program waits for this to end.
    """
    patterns = patterns if isinstance(patterns, Patterns) else Patterns(patterns)
    folders = folders or Folders()

    def matches_in(folder: str, part: Part) -> Iterable[str]:
        try:
            listing = folders.listing(folder, now_s, fresh=True)
        except OSError:
            return ()
        found = listing.derive((part, rule, trusted), lambda listing: _wanted(listing, part, rule, trusted=trusted))
        return [name for name, kind in found if kind == FILE or os.path.isfile(os.path.join(folder, name))]

    found: dict[str, None] = {}
    literally = []
    for text in patterns.texts:
        if named := patterns.named(text):
            found[named] = None
            literally.append(named)
        else:
            found.update(dict.fromkeys(patterns.find(text, matches_in, stopping)))
    rotated = {path for path in literally if is_rotated_name(path)}
    return _without_rotated(found, rotated, folders, now_s) if rotated else [*found]


def _wanted(listing: Listing, part: Part, rule: PathRule, *, trusted: bool) -> list[tuple[str, str]]:
    """Return the names in a directory, with their kinds, that may be live paths."""
    return [
        (name, kind)
        for name, _, kind in listing.names
        if kind in (FILE, LINK)
        and part.matches(name)
        and not rule.is_copy(name)
        and (trusted or rule.is_live(name))
        and not is_rotated_in(listing.folder, name)
    ]


def _without_rotated(found: Collection[str], named: Collection[str], folders: Folders, now_s: float) -> list[str]:
    """Return the paths without those that were named although they are rotated files of another one of them."""
    rotated = {path for live in found if live not in named for path in siblings(live, folders, now_s)}
    return [path for path in found if path not in rotated]


def with_rotated(patterns: Iterable[str], rule: PathRule) -> list[str]:
    """Return the patterns. One that matches rotated files and nothing else is replaced by the names of these files.

    Such a user selects the old files, to read them once: ``--path 'proxy.log.*.gz'``.
    """
    found = []
    for text in patterns:
        names = [] if discover([text], rule, trusted=True) else sorted(filter(os.path.isfile, glob.glob(text)))
        names = [name for name in names if not (is_compressed(name) and plain_name(name) in names)]
        found += [glob.escape(name) for name in names if not rule.is_copy(os.path.basename(name))] or [text]
    return found


def _hint(patterns: Patterns) -> str:
    """Return what to do if no file matches."""
    if any(is_rotated_name(path) for text in patterns.texts for path in glob.iglob(f"{text}*")):
        return "only rotated files are there: name the path that they had, without wildcards: --path DIR/NAME.log"
    return "name a log that exists with --path"


def check_paths(patterns: Iterable[str], rule: PathRule, *, trusted: bool, once: bool) -> None:
    """Reject at the start paths that can never be followed, and with ``once`` also files that cannot be read now.

    Raises:
        UsageError: there are no patterns, a path is a directory or a device; with ``once``: it can't be read, or
            nothing matches.
    """
    known = Patterns(patterns)
    if not known.texts:
        raise UsageError("there is no home directory to look for the log in", hint="name the log with --path")
    for path in map(as_written, known.texts):
        if os.path.isdir(path):
            raise UsageError(f"{path} is a directory", hint=f"name the files in it, such as --path '{path}/*.log'")
        if os.path.exists(path) and not os.path.isfile(path):
            raise UsageError(f"{path} is not a regular file", hint="a log file is followed, not a pipe or a device")
    if not once:
        return
    live = discover(known, rule, trusted=trusted)
    found = [path for path in live if os.path.exists(path)]
    # the rotated files of a path that has no file now can be read nevertheless
    if not found and not any(map(siblings, live)):
        raise UsageError(f"no file matches {known}", hint=_hint(known))
    for path in found:
        if not os.access(path, os.R_OK):
            raise UsageError(f"{path} can't be read", hint="run as its owner, or as a member of its group")
