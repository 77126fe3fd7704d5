from collections.abc import Sequence

PER_OCTAVE: int

_Counted = tuple[int, int, int, int, list[int], dict[int, int], int]  # the fields of model.Counts, in their order

def find_lines(buffer: bytes | bytearray, marker: bytes, begin: int, end: int, /) -> tuple[list[int], list[bytes]]: ...
def count(values: Sequence[int], bounds: tuple[int, ...], /) -> _Counted | None: ...
def count_columns(
    rows: list[tuple[int | None, ...]], begin: int, end: int, width: int, bounds: tuple[int, ...], /
) -> list[_Counted | None] | None: ...
def add_to(into: dict[int, int], more: dict[int, int], /) -> None: ...
def sum_counts(rows: list[tuple[int, int, int, int, bytes, bytes, int]], bounds: int, /) -> _Counted | None: ...
def encode_samples(
    offsets: list[int],
    times: list[int],
    durations: list[int],
    kinds: list[int],
    rows: list[tuple[int | None, ...]],
    first: int,
    first_ns: int,
    /,
) -> str | None: ...
