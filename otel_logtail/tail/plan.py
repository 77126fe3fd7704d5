"""Makes a plan from a scan of one live path. Decides only; ``live.PathTail`` carries the plan out.

A file that is new gets a checkpoint. A file with a checkpoint is held open if it may have unread bytes. An open file
that has lost its name is read on. An unfinished checkpoint without a file is finished, and its unread bytes are lost.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Literal

import msgspec

from otel_logtail.model import FileState
from otel_logtail.tail.checkpoints import States
from otel_logtail.tail.fingerprint import HEAD_BYTES, fingerprint, holds
from otel_logtail.tail.held import Held, current_of
from otel_logtail.tail.naming import is_compressed, is_rotated_name
from otel_logtail.tail.reader import PlainReader, Reader


class Seen(msgspec.Struct, frozen=True):
    """The result of a scan.

    ``claims``: the checkpoint of each known file, None for a file that is not read. ``new``: checkpoints without an id,
    of all other files. ``continued``: the ids of checkpoints whose unread bytes are in new files, by path. ``moved``:
    checkpoints that another live path had, before and after the move. ``places``: the real paths. ``known``: all
    checkpoints of the live path. ``undecided``: files that are copies as far as they go, with identity and size.
    ``doubts``: up to which offsets lines of known files may have been read from files that are gone, by path.
    ``is_first``: the files were never told apart before.
    """

    live: str
    readers: Mapping[str, Reader]
    complete: bool
    claims: Mapping[str, FileState | None]
    new: Mapping[str, FileState]
    continued: Mapping[str, int]
    moved: Sequence[tuple[FileState, FileState]]
    undecided: Mapping[str, tuple[int, ...]]
    doubts: Mapping[str, int]
    places: Mapping[str, str]
    held: Sequence[Held]
    known: States
    is_first: bool
    now_s: float


class Plan(msgspec.Struct):
    """The consequences of a scan: checkpoints to add, to update and to take from other paths, and files to hold open.

    ``hold`` is in order, the oldest file first; the checkpoints of new files have no id yet. ``begun``: new files, and
    the offsets where they begin. ``gone``: checkpoints whose file was open and is lost. ``unseen``: those whose file
    was lost while the path was not followed. ``change``: the kind of change of the live file. ``doubted``: known files
    whose lines may have been read from files that are gone. ``here``: the ids of the
    checkpoints whose files are here. ``undecided`` files are copies as far as they go; ``has_copies``: there are files
    that are not read.
    """

    take: list[FileState]
    undecided: Mapping[str, tuple[int, ...]]
    has_copies: bool
    here: frozenset[int]
    add: list[FileState] = []
    update: list[FileState] = []
    hold: list[Held] = []
    begun: list[tuple[str, int]] = []
    doubted: list[FileState] = []
    gone: list[FileState] = []
    unseen: list[FileState] = []
    change: Literal["", "truncated", "rotated"] = ""


def make_plan(seen: Seen) -> Plan:
    """Return the plan for the result of a scan."""
    plan = Plan(
        take=[before for before, _ in seen.moved],
        undecided=seen.undecided,
        has_copies=None in seen.claims.values(),
        here=frozenset(state.id for state in seen.claims.values() if state is not None),
    )
    nameless = {held.state.id: held for held in seen.held}
    named = {reader.identity for reader in seen.readers.values()}
    for path in seen.readers:
        if path in seen.new:
            _plan_new(seen, plan, path)
        else:
            _plan_known(seen, plan, path, nameless, named)
    _hold_nameless(seen, nameless.values(), plan.hold, named)
    _plan_lost(seen, plan, nameless)
    plan.change = _change(seen, plan.hold)
    return plan


def _plan_new(seen: Seen, plan: Plan, path: str) -> None:
    state, held = _new(seen, path)
    plan.add.append(state)
    if held is not None:
        plan.hold.append(held)
        if path not in seen.continued:
            plan.begun.append((state.path, state.offset))


def _plan_known(
    seen: Seen, plan: Plan, path: str, nameless: dict[int, Held], named: Collection[tuple[int, int]]
) -> None:
    before = seen.claims[path]
    if before is None:
        return
    state, held = _known(seen, path, before, nameless.pop(before.id, None), named)
    if state != before or any(after.id == before.id for _, after in seen.moved):
        plan.update.append(state)
    if path in seen.doubts:
        plan.doubted.append(state)
    if held is not None:
        plan.hold.append(held)


def _plan_lost(seen: Seen, plan: Plan, nameless: Mapping[int, Held]) -> None:
    """Finish the checkpoints that have no file."""
    kept = {held.state.id for held in plan.hold}
    lost = [s for s in seen.known.unfinished() if s.id not in kept and (seen.complete or s.id in nameless)]
    plan.update += [msgspec.structs.replace(state, size=state.offset, done=True) for state in lost]
    lost = [state for state in lost if state.id not in seen.continued.values()]
    plan.gone = [state for state in lost if state.id in nameless and unread(state)]
    plan.unseen = _unseen(seen, [state for state in lost if state.id not in nameless])


def unread(state: FileState) -> int:
    """Return the number of bytes that were seen and not read."""
    return max(0, state.size - state.offset)


def _new(seen: Seen, path: str) -> tuple[FileState, Held | None]:
    state, reader = seen.new[path], seen.readers[path]
    if path != seen.live and not _has_more(reader, state):
        return state, None
    state = msgspec.structs.replace(state, done=False) if state.done else state
    return state, Held(reader, state, _quiet_since(seen, path, None), watched=not seen.is_first)


def _known(
    seen: Seen, path: str, state: FileState, held: Held | None, named: Collection[tuple[int, int]]
) -> tuple[FileState, Held | None]:
    reader, is_live = seen.readers[path], path == seen.live
    here = {"path": seen.places[path], "device": reader.device, "inode": reader.inode}
    if held is None and not is_live and not _has_more(reader, state):
        is_known = is_compressed(state.path) and reader.identity == (state.device, state.inode)
        if is_compressed(path) and not is_known:  # known by its inode from now on, it is not unpacked again
            return msgspec.structs.replace(state, **here), None
        return state, None
    head = state.head if state.offset else fingerprint(reader.read_at(0, HEAD_BYTES))
    doubt = max(state.doubt, seen.doubts.get(path, 0))
    now = msgspec.structs.replace(state, live=seen.live, done=False, head=head, doubt=doubt, **here)
    keep = held is not None and holds(held.reader, state) and _is_kept(held.reader, reader, named, live=is_live)
    return now, Held(
        held.reader if held and keep else reader,
        now,
        _quiet_since(seen, path, held),
        watched=not seen.is_first,
        growth=held.growth if held else None,
    )


def _quiet_since(seen: Seen, path: str, held: Held | None) -> float | None:
    if path == seen.live:
        return None
    return seen.now_s if held is None or held.quiet_since is None else held.quiet_since


def _hold_nameless(seen: Seen, nameless: Iterable[Held], hold: list[Held], named: Collection[tuple[int, int]]) -> None:
    """Add the open files that have no name any more: their unread bytes are read through the descriptors."""
    for held in nameless:
        if held.reader.identity not in named and (held.state.offset == 0 or holds(held.reader, held.state)):
            quiet_since = seen.now_s if held.quiet_since is None else held.quiet_since
            newer = [i for i, other in enumerate(hold) if not 0 < other.state.id <= held.state.id]
            kept = Held(held.reader, held.state, quiet_since, watched=held.watched, growth=held.growth)
            hold.insert(newer[0] if newer else len(hold), kept)


def _unseen(seen: Seen, lost: list[FileState]) -> list[FileState]:
    """Return those whose loss is reported: bytes are missing, or may be.

    How much was written to the last live file after the end of the last run is unknown. One that was empty cannot be
    recognized: it may be here under another name.
    """
    if not lost:
        return []
    usual = {seen.live, seen.places[seen.live]}
    ids = (state.id for state in seen.known if state.path in usual or not is_rotated_name(state.path))
    last_live = max(ids, default=0)
    return [state for state in lost if unread(state) or (state.id == last_live and state.head.length > 0)]


def _change(seen: Seen, hold: Iterable[Held]) -> Literal["", "truncated", "rotated"]:
    before, now = current_of(seen.held), current_of(hold)
    if before is None or now is None or before.state.id == now.state.id:
        return ""
    if (seen.live in seen.continued and now.state.id == 0) or seen.live in seen.doubts:
        return ""  # it is reported where the file continues
    return "truncated" if before.reader.inode == now.reader.inode else "rotated"


def _is_kept(reader: Reader, there: Reader, named: Collection[tuple[int, int]], *, live: bool) -> bool:
    """Return whether an open file is read on although its name may belong to another file with the same content.

    The writer may still have a renamed or compressed file open. If the live file was replaced, or the other file is
    longer, the other one is read. If the open file has another name, it is read by that name.
    """
    if reader.identity == there.identity:
        return True
    return not live and reader.identity not in named and not there.read_at(reader.size(), 1)


def _has_more(reader: Reader, state: FileState) -> bool:
    if not state.done:
        return True
    if isinstance(reader, PlainReader):
        return reader.size() > state.size
    if is_compressed(state.path):
        return False  # it does not grow
    try:
        return bool(reader.read_at(state.size, 1))  # it may have grown before it was compressed
    except OSError:
        return True  # reading it reports the reason
