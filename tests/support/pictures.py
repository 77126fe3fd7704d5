"""The pictures of the README: the page of a report, light and dark, and a session on a terminal.

``python -m tests.support.pictures`` (``make pictures``) writes them to docs/img; a test compares them with new ones.
"""

from __future__ import annotations

import base64
import math
import os
import random
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import closing
from datetime import timezone
from io import StringIO
from pathlib import Path

from rich.console import Console
from rich.text import Text

from otel_logtail.model import Mark
from otel_logtail.query import Reader
from otel_logtail.report.data import gather
from otel_logtail.report.marked import with_marks
from otel_logtail.report.page import page
from otel_logtail.report.periods import DAY_NS
from otel_logtail.report.slo import parse_slo
from otel_logtail.store import marks
from otel_logtail.store.connection import connect, transaction
from tests.support.browser import Browser, browser
from tests.support.places import CAPTURES, ROOT
from tests.support.store_builder import NOON, SECOND, Stall, Written, make_file
from tests.support.waiting import bound_s

FOLDER = ROOT / "docs" / "img"
SIZE = (1280, 760)
SCHEMES = ("light", "dark")
COMMANDS = (
    "otel-logtail --observer headroom --path tests/captures/0.42.0-stall.log --once --db demo.db",
    "otel-logtail report --since 2026-11-01 --db demo.db",
)
"""The commands of the session, which the README has, too."""

_DAYS, _UPGRADE = 28, 17
_COLUMNS = 100
_HOUR = 3600 * SECOND
_CELLS = (64, 38)
_TELLS = 30
"""A mean color of a cell that differs by more (of 255) is another picture; other fonts change it by less."""


# --- the page -----------------------------------------------------------------------------------------------------


def store(folder: Path) -> Path:
    """Return a store of four weeks with a mark: an upgrade, after which stalls are rarer."""
    chance = random.Random(14)  # noqa: S311 - the same in each run
    first = NOON - 12 * _HOUR - 2 * DAY_NS
    samples: list[Written] = []
    stalls: list[Stall] = []
    for hour in range(_DAYS * 24):
        at, is_after = first + hour * _HOUR, hour >= _UPGRADE * 24
        load = 12 + int(
            24 * max(0.0, math.sin(math.pi * (hour % 24 - 7) / 14)) * (1 if hour // 24 % 7 not in (4, 5) else 0.4)
        )
        for _ in range(load):
            ms = chance.lognormvariate(2.3, 1.1 - 0.1 * is_after)
            stages = (("read", int(ms * 2e5)), ("wait", int(ms * 5e5)))
            time_ns = at + chance.randrange(_HOUR)
            samples.append(
                Written(time_ns, int(ms * 1e6), stages, length_ns=_HOUR, cause=chance.choice(("wait", "read")))
            )
        if load > 25 and chance.random() < (0.04 if is_after else 0.12):
            start, peak_ms = at + chance.randrange(_HOUR // 2), math.exp(chance.uniform(math.log(2100), math.log(9500)))
            samples += [
                Written(
                    start + n * SECOND, int(peak_ms * 1e6 / (n + 1)), (("wait", int(peak_ms * 8e5)),), length_ns=_HOUR
                )
                for n in range(3)
            ]
            stalls.append(Stall(start - int(peak_ms * 1e6), start + 2 * SECOND, peak_ns=int(peak_ms * 1e6)))
    path = make_file(folder / "store.db", samples, stalls)
    with closing(connect(path)) as conn, transaction(conn):
        marks.add_by_hand(conn, Mark(first + _UPGRADE * DAY_NS + 10 * _HOUR, "upgrade 0.42"), None)
    return path


def write_page(folder: Path) -> Path:
    """Write the page that the pictures show."""
    targets = [parse_slo(text) for text in ("stalls<3/day", "p99<500ms", "stalled<0.1%")]
    with Reader.open(store(folder)) as reader, reader.snapshot():
        report = with_marks(gather(reader, targets, tz=timezone.utc), reader, tz=timezone.utc)
    path = folder / "report.html"
    path.write_text(page(report, made_ns=NOON + _DAYS * DAY_NS, tz=timezone.utc))
    return path


def draw(chromium: Browser, url: str, scheme: str) -> bytes:
    """Return a picture of the first screen of a page, as PNG."""
    width, height = SIZE
    chromium.open(url, width, dark=scheme == "dark")
    clip = {"x": 0, "y": 0, "width": width, "height": height, "scale": 1}
    return base64.b64decode(chromium.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)["data"])


_CELLS_OF = """(async () => {
  const image = new Image();
  image.src = "data:image/png;base64,%s";
  await image.decode();
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [%d, %d];
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return [[image.width, image.height], [...context.getImageData(0, 0, canvas.width, canvas.height).data]];
})()"""


def difference(chromium: Browser, picture: bytes, other: bytes) -> float:
    """Return the share of cells in which two pictures differ, 1 if they differ in size; fonts may be others."""
    chromium.open("about:blank", SIZE[0])
    found = []
    for each in (picture, other):
        script = _CELLS_OF % (base64.b64encode(each).decode(), *_CELLS)
        answer = chromium.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        found.append(answer["result"]["value"])
    (size, cells), (other_size, other_cells) = found
    if size != other_size:
        return 1.0
    differs = [abs(one - two) > _TELLS for one, two in zip(cells, other_cells, strict=True)]
    return sum(map(any, zip(*[iter(differs)] * 4, strict=True))) / math.prod(_CELLS)


# --- the terminal -------------------------------------------------------------------------------------------------


def session(folder: Path) -> str:
    """Run the commands in a folder, and return an image (SVG) of what a terminal shows."""
    shutil.copytree(
        CAPTURES, folder / "tests" / "captures", ignore=lambda _, names: [n for n in names if "stall" not in n]
    )
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("OTEL", "HEADROOM", "NO_COLOR"))
    }
    own = {"HOME": str(folder), "TZ": "UTC", "FORCE_COLOR": "1", "PYTHONUTF8": "1", "PYTHONPATH": str(ROOT)}
    parts = []
    for command in COMMANDS:
        done = subprocess.run(
            [sys.executable, "-m", "otel_logtail", *shlex.split(command)[1:]],
            env={**inherited, **own},
            cwd=folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=bound_s(60),
            check=True,
        )
        shown = re.sub(r"in \d+\.\d s\)", "in 0.1 s)", done.stdout.replace(str(folder.resolve()), "/home/me"))
        parts.append(f"\x1b[1m$ {command}\x1b[0m\n{shown}")
    console = Console(record=True, file=StringIO(), width=_COLUMNS, force_terminal=True, color_system="truecolor")
    console.print(Text.from_ansi("\n".join(parts)))
    found = console.export_svg(title="otel-logtail", unique_id="session")
    return re.sub(r"\s*@font-face \{.*?\}", "", found, flags=re.DOTALL)  # a picture makes no request


def words_of(svg: str) -> list[str]:
    """Return the texts of an image."""
    return re.findall(r">([^<>]+)</text>", svg)


def main(names: Iterable[str] = SCHEMES) -> None:
    """Write all pictures."""
    with tempfile.TemporaryDirectory() as folder, browser(Path(folder)) as chromium:
        url = write_page(Path(folder)).as_uri()
        for name in names:
            (FOLDER / f"report-{name}.png").write_bytes(draw(chromium, url, name))
        (FOLDER / "session.svg").write_text(session(Path(folder)))


if __name__ == "__main__":
    main()
