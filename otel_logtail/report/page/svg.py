"""Plots as inline SVG: x in per cent of the width, y in pixels, so that text never scales. Pure.

Lines and areas lie in nested images whose x is stretched (``preserveAspectRatio="none"``); their strokes are not.
Colors are classes of ``page.css``. A ``title`` is a tooltip.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from otel_logtail.report.page.html import Markup, join, number, tag

_WIDE = 1000  # units of x in a nested image: a tenth of a per cent
Point = tuple[float, float]
"""x in per cent, y in pixels."""


class Svg:
    """Collects the elements of one plot; later ones are drawn above earlier ones."""

    def __init__(self, height: float, label: str) -> None:
        self._height = height
        self._label = label
        self._role = "img"
        self._parts: list[Markup] = []
        self._paths: list[Markup] = []

    def text(self, x: float, y: float, content: str, kind: str = "", *, dx: float | None = None) -> None:
        """Add text on a base line, ``dx`` pixels beside x; its end is there if its kind has ``end``, or its middle."""
        self._add(tag("text", content, class_=kind, x=f"{number(x)}%", y=y, dx=dx))

    def line(self, start: Point, end: Point, kind: str) -> None:
        """Add a straight line."""
        (x1, y1), (x2, y2) = start, end
        self._add(tag("line", class_=kind, x1=f"{number(x1)}%", y1=y1, x2=f"{number(x2)}%", y2=y2))

    def rect(self, corner: Point, width: float, height: float, kind: str, title: str = "", *, href: str = "") -> None:
        """Add a rectangle: upper left corner, width in per cent, height in pixels; ``href`` is where it leads to."""
        (x, y), inside = corner, (tag("title", join(title.split("\n"), "\n")),) if title else ()
        box: dict[str, str | float] = {
            "x": f"{number(x)}%",
            "y": y,
            "width": f"{number(width)}%",
            "height": max(0.0, height),
        }
        found = tag("rect", *inside, class_=kind, **box)
        self._add(tag("a", found, href=href, aria_label=title) if href else found)
        self._role = "group" if href else self._role  # readers of the screen skip what is inside an image

    def path(self, description: str, kind: str) -> None:
        """Add a path from :func:`polyline`, :func:`area`, :func:`dots` or :func:`boxes`."""
        if description:
            self._paths.append(tag("path", class_=kind, d=description))

    def markup(self) -> Markup:
        """Return the plot. One without a label repeats what is beside it: readers of the screen skip it."""
        self._flush()
        told = {"role": self._role, "aria_label": self._label} if self._label else {"aria_hidden": "true"}
        return tag("svg", join(self._parts, "\n"), width="100%", height=self._height, **told)

    def _add(self, part: Markup) -> None:
        self._flush()
        self._parts.append(part)

    def _flush(self) -> None:
        if self._paths:
            box = f"0 0 {_WIDE} {number(self._height)}"
            paths, self._paths = self._paths, []
            self._parts.append(
                tag("svg", *paths, width="100%", height=self._height, viewBox=box, preserveAspectRatio="none")
            )


def polyline(points: Sequence[Point | None]) -> str:
    """Return the description of a line through points; None breaks it. A single point is a dot."""
    found, is_open = [], False
    for at, point in enumerate(points):
        if point is None:
            is_open = False
            continue
        is_alone = not is_open and (at + 1 == len(points) or points[at + 1] is None)
        found.append(f"{'L' if is_open else 'M'}{_at(point)}{'h0' if is_alone else ''}")
        is_open = True
    return "".join(found)


def area(upper: Sequence[Point], lower: Sequence[Point]) -> str:
    """Return the description of the area between two lines with the same places."""
    points = [*upper, *reversed(lower)]
    return f"M{'L'.join(map(_at, points))}Z" if points else ""


def dots(points: Iterable[Point]) -> str:
    """Return the description of dots: lines of no length, whose caps are round."""
    return "".join(f"M{_at(point)}h0" for point in points)


def boxes(found: Iterable[tuple[Point, Point]]) -> str:
    """Return the description of rectangles, each of two opposite corners."""
    return "".join(
        f"M{_at((x1, y1))}H{number(_WIDE / 100 * x2)}V{number(y2)}H{number(_WIDE / 100 * x1)}Z"
        for (x1, y1), (x2, y2) in found
    )


def _at(point: Point) -> str:
    return f"{number(round(_WIDE / 100 * point[0], 1))} {number(round(point[1], 1))}"
