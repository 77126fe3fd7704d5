"""Identifies the files of one live path, and plans what to do with them. Decides only."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import msgspec

from otel_logtail.model import FileState
from otel_logtail.tail.checkpoints import Elsewhere, Moved, States
from otel_logtail.tail.fingerprint import HEAD_BYTES, anchor_at, check_begin, fingerprint, is_cut_off
from otel_logtail.tail.handover import Predecessor, doubts, predecessors
from otel_logtail.tail.held import Held, current_of
from otel_logtail.tail.identify import identify
from otel_logtail.tail.lines import end_of_lines
from otel_logtail.tail.naming import is_compressed
from otel_logtail.tail.opening import Opened, PathFiles
from otel_logtail.tail.plan import Plan, Seen, make_plan
from otel_logtail.tail.reader import Reader
from otel_logtail.tail.trail import up_to


class Planner:
    """Plans for one live path. ``others`` are the checkpoints of the other live paths."""

    def __init__(self, files: PathFiles, states: States, others: Elsewhere) -> None:
        self._live = files.live
        self._files = files
        self._states = states
        self._others = others

    def plan(
        self, opened: Opened, held: Sequence[Held], *, from_start: bool, is_first: bool, now_s: float
    ) -> Plan | None:
        """Return what to do with the open files and those that were held; None if the live file was cut off meanwhile.

        ``from_start``: new files are read from their start. ``is_first``: the files were never identified before.
        """
        readers = opened.readers
        sizes = {path: (*reader.identity, reader.size()) for path, reader in readers.items() if path != self._live}
        open_ = [(each.state, each.reader) for each in held]
        claims = identify(readers, self._likely(readers.values(), held), self._live, open_)
        if self._is_cut_off(readers, claims):
            return None  # a file that seems new may be the copy that was made before
        undecided: dict[str, tuple[int, ...]] = {
            path: sizes[path] for path, state in claims.items() if state is None and not is_compressed(path)
        }
        for path in opened.elsewhere:
            claims.setdefault(path, None)  # only opened for the checkpoints that name them
        moved = self._moved_here(readers, claims, undecided)
        known = [*self._states, *(after for _, after in moved)] if from_start else []
        before = predecessors(readers, claims, known, self._live, open_)
        new = [path for path in readers if path not in claims]
        places = {path: self._files.place(path) for path in (*readers, self._live)}
        current = current_of(held)
        return make_plan(
            Seen(
                self._live,
                readers,
                opened.complete,
                claims,
                new={path: self._new_state(path, readers[path], before.get(path), from_start) for path in new},
                continued={path: found.state.id for path, found in before.items() if found.sure},
                moved=moved,
                undecided=undecided,
                doubts=doubts(readers, claims, self._states, places, current.state if current else None),
                places=places,
                held=held,
                known=self._states,
                is_first=is_first,
                now_s=now_s,
            )
        )

    def _is_cut_off(self, readers: Mapping[str, Reader], claims: Mapping[str, FileState | None]) -> bool:
        """Return whether the live file is known and was cut off meanwhile, and another file seems new."""
        live = claims.get(self._live)
        return live is not None and bool(readers.keys() - claims.keys()) and is_cut_off(readers[self._live], live)

    def _likely(self, readers: Collection[Reader], held: Sequence[Held]) -> list[FileState]:
        """Return the checkpoints that these files may have: unfinished ones first, the newest of them first."""
        if not self._states and not held:
            return []
        known = {state.id: state for state in self._states.unfinished()}
        known.update((each.state.id, each.state) for each in held)
        return sorted(known.values(), key=lambda state: -state.id) + self._states.finished_like(readers)

    def _moved_here(
        self,
        readers: Mapping[str, Reader],
        claims: dict[str, FileState | None],
        undecided: dict[str, tuple[int, ...]],
    ) -> list[tuple[FileState, FileState]]:
        """Return the checkpoints of files that came from another live path, as they are there and as they are here."""
        found: list[tuple[FileState, FileState]] = []
        for path, reader in readers.items():
            known = self._others.find(self._live, reader) if path not in claims else None
            if known is None or any(before.id == known[1].id for before, _ in found):
                continue  # a copy of the file that came: it is new
            where, state = known
            claims[path] = None
            if where is Moved.SOON:
                undecided[path] = ()
            elif where is Moved.HERE:
                place = self._files.place(path)
                claims[path] = ours = msgspec.structs.replace(
                    state, live=self._live, path=place, device=reader.device, inode=reader.inode
                )
                found.append((state, ours))
        return found

    def _new_state(self, path: str, reader: Reader, before: Predecessor | None, from_start: bool) -> FileState:
        """Return the checkpoint of a new file, without an id."""
        live, begin = path == self._live, reader.read_at(0, HEAD_BYTES)
        offset, size = 0, reader.size()  # before the end is searched: later bytes count as growth
        if not from_start:  # a compressed file only has to be recognized
            offset = end_of_lines(reader) if live or not is_compressed(path) else len(begin)
        anchor = anchor_at(reader, offset)
        trail = before.trail if before else b"" if is_compressed(path) or not offset else up_to(reader, offset)
        if offset:
            check_begin(reader, begin)
        return FileState(
            id=0,
            live=self._live,
            path=self._files.place(path),
            device=reader.device,
            inode=reader.inode,
            offset=offset,
            size=offset if is_compressed(path) else max(offset, size),
            head=fingerprint(begin[: offset or HEAD_BYTES]),
            anchor=anchor,
            done=not live and not from_start,
            trail=trail,
            doubt=max(0, before.state.doubt - before.state.offset) if before else 0,
        )
