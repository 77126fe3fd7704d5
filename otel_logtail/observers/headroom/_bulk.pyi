from collections.abc import Sequence

def configure(
    texts: tuple[str, str, str],
    causes: tuple[str, ...],
    longest: tuple[str, ...],
    stages: tuple[str, ...],
    max_ms: float,
    quarter_ns: int,
    slack_ns: int,
    jitter_ns: int,
    west_ns: int,
    east_ns: int,
    /,
) -> None: ...

_Columns = tuple[list[int], list[int], list[int], list[str], list[str], list[tuple[int | None, ...]]]

def columns(lines: Sequence[bytes], /) -> tuple[list[int] | None, _Columns] | None: ...
