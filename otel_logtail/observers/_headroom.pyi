from collections.abc import Sequence

def configure(
    request: type,
    session: type,
    stages_type: type,
    event: str,
    causes: tuple[str, ...],
    longest: tuple[str, ...],
    stages: tuple[str, ...],
    quarter_ns: int,
    slack_ns: int,
    jitter_ns: int,
    west_ns: int,
    east_ns: int,
    /,
) -> None: ...
def heads(lines: Sequence[bytes], /) -> tuple[bytes, bytes] | None: ...

_Columns = tuple[list[int], list[int], list[int], list[str], list[str], list[tuple[int | None, ...]]]

def columns(
    lines: Sequence[bytes], heads: bytes, requests: list[object], /
) -> tuple[list[int] | None, _Columns] | None: ...
