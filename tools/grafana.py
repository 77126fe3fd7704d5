"""Grafana dashboards as plain data: the parts of the classic JSON schema that our dashboards use."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SCHEMA_VERSION = 41
COLUMNS = 24
PROMETHEUS = {"type": "prometheus", "uid": "${datasource}"}
TEMPO = {"type": "tempo", "uid": "${tempo}"}
LOKI = {"type": "loki", "uid": "${loki}"}

Json = dict[str, Any]


@dataclass(frozen=True)
class Query:
    """One PromQL expression of a panel.

    ``instant`` requests only the end of the dashboard's range; ``step`` is the minimum distance of points (a duration).
    """

    expr: str
    legend: str = ""
    instant: bool = False
    exemplars: bool = False
    heatmap: bool = False
    step: str = ""

    def json(self, ref: str) -> Json:
        """The target of a panel."""
        made: Json = {
            "refId": ref,
            "datasource": PROMETHEUS,
            "expr": self.expr,
            "legendFormat": self.legend or "__auto",
            "instant": self.instant,
            "range": not self.instant,
            "exemplar": self.exemplars,
            "editorMode": "code",
        }
        if self.heatmap:
            made["format"] = "heatmap"
        if self.step:
            made["interval"] = self.step
        return made


@dataclass(frozen=True)
class Traces:
    """One TraceQL search of a panel."""

    query: str
    limit: int = 200

    def json(self, ref: str) -> Json:
        """The target of a panel."""
        return {
            "refId": ref,
            "datasource": TEMPO,
            "queryType": "traceql",
            "query": self.query,
            "limit": self.limit,
            "tableType": "spans",
        }


@dataclass(frozen=True)
class Link:
    """A link that each value of a panel offers."""

    title: str
    url: str

    def json(self) -> Json:
        """Return the link."""
        return {"title": self.title, "url": self.url, "targetBlank": True}


@dataclass(frozen=True)
class Annotation:
    """Marks on the time axis of all panels: ``text`` and ``title`` may contain labels."""

    name: str
    source: Mapping[str, str]
    expr: str
    color: str
    title: str
    text: str
    step: str = ""

    def json(self) -> Json:
        """Return the annotation."""
        made: Json = {
            "name": self.name,
            "datasource": dict(self.source),
            "enable": True,
            "hide": False,
            "iconColor": self.color,
            "expr": self.expr,
            "titleFormat": self.title,
            "textFormat": self.text,
        }
        return {**made, "step": self.step} if self.step else made


@dataclass(frozen=True)
class Panel:
    """One panel: ``kind`` is Grafana's type, ``width`` of 24 columns, ``steps`` the thresholds (from, color).

    ``colors`` are those of series whose legend begins with a word. The series of ``dashed`` words are dashed lines
    without points or filling. ``link`` is offered at each value.
    """

    kind: str
    title: str
    queries: Sequence[Query | Traces]
    text: str
    unit: str = "short"
    width: int = 12
    height: int = 8
    steps: Sequence[tuple[float | None, str]] = ()
    options: Mapping[str, Any] = field(default_factory=dict)
    custom: Mapping[str, Any] = field(default_factory=dict)
    decimals: int | None = None
    colors: Mapping[str, str] = field(default_factory=dict)
    dashed: Sequence[str] = ()
    link: Link | None = None

    def json(self, id_: int, x: int, y: int) -> Json:
        """Return the panel at its position."""
        defaults: Json = {"unit": self.unit, "color": {"mode": "thresholds" if self.steps else "palette-classic"}}
        if self.steps:
            steps = [{"value": value, "color": colour} for value, colour in self.steps]
            defaults["thresholds"] = {"mode": "absolute", "steps": steps}
        if self.custom:
            defaults["custom"] = dict(self.custom)
        if self.decimals is not None:
            defaults["decimals"] = self.decimals
        if self.link is not None:
            defaults["links"] = [self.link.json()]
        source = TEMPO if any(isinstance(query, Traces) for query in self.queries) else PROMETHEUS
        return {
            "id": id_,
            "type": self.kind,
            "title": self.title,
            "description": self.text,
            "datasource": source,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [query.json(chr(ord("A") + index)) for index, query in enumerate(self.queries)],
            "fieldConfig": {"defaults": defaults, "overrides": list(self._overrides())},
            "options": dict(self.options),
        }

    def _overrides(self) -> Iterator[Json]:
        for word, color in self.colors.items():
            properties: list[Json] = [{"id": "color", "value": {"mode": "fixed", "fixedColor": color}}]
            if word in self.dashed:
                properties += [
                    {"id": "custom.lineStyle", "value": {"fill": "dash", "dash": [8, 6]}},
                    {"id": "custom.fillOpacity", "value": 0},
                    {"id": "custom.showPoints", "value": "never"},
                ]
            yield {"matcher": {"id": "byRegexp", "options": f"/^{word}\\b/"}, "properties": properties}


@dataclass(frozen=True)
class Row:
    """A heading above the panels that follow."""

    title: str

    def json(self, id_: int, y: int) -> Json:
        """Return the row at its position."""
        position = {"x": 0, "y": y, "w": COLUMNS, "h": 1}
        return {"id": id_, "type": "row", "title": self.title, "collapsed": False, "gridPos": position, "panels": []}


@dataclass(frozen=True)
class Variable:
    """A template variable: ``more`` has the fields that its type needs besides the name."""

    name: str
    label: str
    kind: str
    more: Mapping[str, Any] = field(default_factory=dict)

    def json(self) -> Json:
        """Return the variable."""
        return {"name": self.name, "label": self.label, "type": self.kind, "hide": 0, "skipUrlSync": False, **self.more}


def data_source(name: str, label: str, kind: str) -> Variable:
    """Return the variable that selects one of the data sources of a kind."""
    return Variable(name, label, "datasource", {"query": kind, "refresh": 1, "regex": "", "multi": False})


def labels_of(name: str, label: str, query: str) -> Variable:
    """Return the variable that selects values of a label; all are selected initially."""
    more = {
        "datasource": PROMETHEUS,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }
    return Variable(name, label, "query", more)


def choice(name: str, label: str, values: Sequence[str], first: str) -> Variable:
    """Return the variable that selects one of some words, or one that the user types."""
    options = [{"text": value, "value": value, "selected": value == first} for value in values]
    more = {
        "query": ",".join(values),
        "options": options,
        "current": {"text": first, "value": first},
        "multi": False,
        "includeAll": False,
        "allowCustomValue": True,
    }
    return Variable(name, label, "custom", more)


@dataclass(frozen=True)
class Heading:
    """A dashboard without its panels; ``since`` is the start of its range."""

    uid: str
    title: str
    text: str
    since: str
    variables: Sequence[Variable]
    annotations: Sequence[Annotation] = ()


_OURS: Json = {
    "title": "otel-logtail",
    "type": "dashboards",
    "tags": ["otel-logtail"],
    "asDropdown": False,
    "includeVars": True,
    "keepTime": True,
    "targetBlank": False,
    "icon": "external link",
    "tooltip": "",
    "url": "",
}
"""The links to our dashboards, at the top of each."""


def dashboard(heading: Heading, parts: Iterable[Panel | Row]) -> Json:
    """Return a dashboard whose panels flow from left to right, in lines that fit the columns."""
    panels: list[Json] = []
    x = y = line = 0
    for id_, part in enumerate(parts, 1):
        if isinstance(part, Row):
            x, y, line = 0, y + line, 0
            panels.append(part.json(id_, y))
            y += 1
            continue
        if x + part.width > COLUMNS:
            x, y, line = 0, y + line, 0
        panels.append(part.json(id_, x, y))
        x, line = x + part.width, max(line, part.height)
    return {
        "id": None,
        "uid": heading.uid,
        "title": heading.title,
        "description": heading.text,
        "tags": ["otel-logtail"],
        "schemaVersion": SCHEMA_VERSION,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "refresh": "1m",
        "time": {"from": heading.since, "to": "now"},
        "timepicker": {},
        "fiscalYearStartMonth": 0,
        "annotations": {"list": [one.json() for one in heading.annotations]},
        "links": [_OURS],
        "templating": {"list": [variable.json() for variable in heading.variables]},
        "panels": panels,
    }
