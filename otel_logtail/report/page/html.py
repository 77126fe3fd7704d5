"""Markup that is safe by construction: every string is escaped, unless :func:`tag` made it. Pure.

A section builds its content from these functions alone, so text of a log cannot become markup, and the page stays
well-formed XML. The page's policy forbids ``style`` attributes: looks are classes of ``page.css``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import msgspec

from otel_logtail.report.words import SPACE
from otel_logtail.text import printable

_EMPTY = frozenset({"br", "line", "meta", "path", "rect"})


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


def markup(content: str) -> Markup:
    """Return content as markup: text is escaped, and characters that do not print are shown as escapes."""
    if isinstance(content, Markup):
        return content
    return Markup(escape(SPACE.join(map(printable, content.split(SPACE)))))


def join(parts: Iterable[str], between: str = "") -> Markup:
    """Join text and markup to markup; ``between`` is white space."""
    return Markup(between.join(map(markup, parts)))


def tag(name: str, *content: str, **attributes: str | float | None) -> Markup:
    """Return an element.

    Args:
        name: The name of the element.
        content: Text and markup inside it.
        attributes: Its attributes: ``class_`` is ``class``, ``aria_label`` is ``aria-label``. One that is None or empty
            is left out; numbers are rounded to two decimals.
    """
    given = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{markup(value if isinstance(value, str) else number(value))}"'
        for key, value in attributes.items()
        if value is not None and value != ""
    )
    if not content and name in _EMPTY:
        return Markup(f"<{name}{given}/>")
    return Markup(f"<{name}{given}>{join(content)}</{name}>")


def number(value: float) -> str:
    """Return a coordinate, as short as it can be."""
    return f"{value:.2f}".rstrip("0").rstrip(".") if value else "0"


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """A table.

    ``sides`` has a letter for each column: ``l`` is text, ``r`` a number. ``head`` is the column whose cells name the
    rows. ``kinds`` are the classes of the rows, ``classes`` those of the columns; both may be left out.
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    sides: str
    head: int = 0
    kind: str = ""
    kinds: Sequence[str] = ()
    classes: Sequence[str] = ()

    def markup(self) -> Markup:
        """Return the table. Its caption is for readers of the screen: the heading above it has the same words."""
        heading = (tag("th", cell, scope="col", class_=self._class(at)) for at, cell in enumerate(self.columns))
        kinds = self.kinds or [""] * len(self.rows)
        rows = (tag("tr", *self._cells(row), class_=kind) for row, kind in zip(self.rows, kinds, strict=True))
        return tag(
            "table",
            tag("caption", tag("span", self.caption, class_="hidden")),
            tag("thead", tag("tr", *heading)),
            tag("tbody", join(rows, "\n")),
            class_=self.kind,
        )

    def _cells(self, row: Sequence[str]) -> Iterable[Markup]:
        for at, cell in enumerate(row):
            name, scope = ("th", "row") if at == self.head else ("td", None)
            yield tag(name, cell, scope=scope, class_=self._class(at))

    def _class(self, at: int) -> str:
        own = self.classes[at] if self.classes else ""
        return f"num {own}".strip() if self.sides[at] == "r" else own


def figure(
    label: str, plot: Markup, table: Table | None = None, *, key: Sequence[Markup] = (), kind: str = ""
) -> Markup:
    """Return a plot with its label, and below it the key and the same figures as a folded table.

    Args:
        label: What the plot shows, for readers of the screen.
        plot: The ``svg``.
        table: The figures of the plot.
        key: What its colors mean: each entry is a small ``svg`` and words.
        kind: Its class.
    """
    return tag(
        "figure",
        tag("div", plot, class_="plot"),
        tag("ul", *(tag("li", entry) for entry in key), class_="key") if key else Markup(),
        fold(table.markup()) if table is not None else Markup(),
        aria_label=label,
        class_=kind,
    )


def fold(content: str) -> Markup:
    """Return a table that is shown once its summary is opened."""
    return tag("details", tag("summary", "The same as a table"), content, class_="fold")
