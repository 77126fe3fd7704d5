"""Every text is plain English: none of the phrases below comes back, in pages, code, help, dashboards or test names.

A failure names the line, the phrase and the words to write instead. Text in backticks is a name and is not checked.
"""

from __future__ import annotations

import ast
import io
import json
import re
import tokenize
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import typer.main

from otel_logtail.cli.program import program
from tests.support.places import ROOT

PHRASES = {
    r"nobody|somebody|anybody|everybody|whoever|whose log": "the process, client, writer or user that is meant",
    r"whatever(?! the)|whatsoever": "'any', 'every' or 'regardless of'",
    r"for ever": "'forever', or a condition",
    r"set(s|ting)? aside": "'quarantined' (an item) or 'moved to X' (a file)",
    r"(is|are|was|were|been|be|being) told(?! apart)": "'receives' or 'is sent'",
    r"tells?(?! (them|it|files|faults|two|one) apart| apart)|hears? of|heard of": "'sends', 'shows' or 'receives'",
    r"says?|said": "'prints', 'logs', 'shows', 'defines' or 'requires'",
    r"knows?|knew|wants?|wanted|asks? for|asked for": "'has', 'requires', 'requests' or 'finds'",
    r"speaks?|spoken": "'uses' or 'supports'",
    r"let(s|ting)? go|leaves? the store|(has|have|had) left the store": "'is deleted', 'is closed' or 'is released'",
    r"what is (old|new|there|left|read|open|due|on the way)|what (was|were|comes?|came)": "the noun: 'expired data'",
    r"(which|that|what) comes?|comes? (to|back)|what follows|theirs": "'new data', 'arrives', 'amounts to'",
    r"anew|made again": "'again', 'recreated' or 'rewritten'",
    r"lies|(it|they|files?|samples?|rows?|data) lie|lying|lay there": "'is', 'is stored' or 'is idle'",
    r"rests|is at rest|stands? still|stood|stands?(?!-| for| alone)": "'is idle', 'is' or 'is unchanged'",
    r"mend(s|ed|ing)?": "'fix' or 'repair'",
    r"upkeep": "'maintenance' or 'retention'",
    r"sealed": "'closed'",
    r"(is|are) whole": "'passes the integrity check' or 'is complete'",
    r"(a|the|each|every|its|one|this|that|no|other|another|whose) drains?": "'delivery worker' or 'sender'",
    r"(a|the|each|every|its|one|this|that|no|next|last|first|timed|second|another|further|per) looks?": "'scan'",
    r"looks? at|looked at|looking at": "'check', 'scan' or 'read'",
    r"back-ups?|time-outs?": "'backup', 'timeout'",
    r"the midst|in the middle of a way": "'halfway' or 'in the middle'",
    r"at (its|their) (most|least)": "'at most', 'the largest', 'the smallest'",
    r"(?<!there )(?<!it )(is|are|was|were) no "
    r"(?!longer|more\b|later|earlier|greater|less\b|larger|older|newer|shorter)[a-z]+": "'is not a valid X'",
    r"(has|have|had) begun": "'has started'",
    r"goes? on|went on|going on": "'continues'",
    r"on (the|its|their) way": "'in flight', 'in transit'",
    r"the way of": "'the path of', 'the pipeline'",
    r"without a word|in silence": "'silently', 'without a message'",
    r"(its|their) like|and the like|as (it|they) (lies?|lay|stands?|stood)": "the thing itself, 'unchanged'",
    r"be (it|they)|were it|had it": "'if'",
    r"in doubt of|costs nothing|for good": "a measured cost, 'permanently'",
}
"""What must not come back, as a pattern of whole words, and what to write instead."""

OPENINGS = ("Of", "With", "What", "Whether", "Where", "Whose", "Whatever", "Whoever")
"""Words that do not open a sentence: write subject, verb, object."""

_EACH = "|".join(rf"(?P<p{i}>{pattern})" for i, pattern in enumerate(PHRASES))
PHRASE = re.compile(rf"\b(?:{_EACH})\b", re.IGNORECASE)
OPENING = re.compile(rf"(?:^|(?<=[.!?] )|(?<=[.] [(]))(?:{'|'.join(OPENINGS)})\b")
QUESTION = re.compile(r"\b[a-z]+\?(?=\s|\)|$)")
CODE = re.compile(r"``.+?``|`[^`]*`|\]\([^)]*\)|<[^>\s]*>|https?://\S+")

SUFFIXES_OF_CONFIGURATIONS = (".yaml", ".yml", ".toml", ".service", ".plist", ".mtail")
NOT_OURS = (
    *("tests/captures/", "tests/stores/", "constraints.txt", "benchmarks/results.json"),
    "otel_logtail/store/migrations/0005_faults.sql",  # frozen: stores contain its comments
)


class Text(NamedTuple):
    """A paragraph, comment, docstring, message or name."""

    line: int
    words: str
    is_prose: bool = True
    """A sentence, and not a message with values in it."""


def paragraphs(page: str) -> Iterator[Text]:
    """Yield the paragraphs, list items and table cells of a Markdown page, without blocks of code."""
    page = re.sub(
        r"^```.*?^```|^    .*?$|<!--.*?-->", lambda m: "\n" * m[0].count("\n"), page, flags=re.MULTILINE | re.DOTALL
    )
    lines: list[str] = []
    for number, line in enumerate([*page.splitlines(), ""], 1):
        if lines and (not line.strip() or re.match(r"\s*([-*|#]|\d+\. )", line)):
            yield Text(number - len(lines), " ".join(lines))
            lines = []
        if line.lstrip().startswith("|"):
            yield from (Text(number, cell) for cell in line.split("|"))
        elif line.strip():
            lines.append(re.sub(r"^\s*([-*#]+|\d+\.) ", "", line))


def comments(source: str, mark: str) -> Iterator[Text]:
    """Yield the comments behind a mark such as ``#``; those in successive lines are one text."""
    lines: list[str] = []
    for number, line in enumerate([*source.splitlines(), ""], 1):
        found = re.search(rf"(?:^|\s){mark}+ (.*)", line)
        if found and (not lines or line.lstrip().startswith(mark)):
            lines.append(found[1])
            continue
        if lines:
            yield Text(number - len(lines), " ".join(lines))
        lines = [found[1]] if found else []


def string(node: ast.expr) -> str:
    """Return the text of a literal, with a placeholder for each value in it."""
    if isinstance(node, ast.JoinedStr):
        return "".join(string(part) for part in node.values)
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    return "X" if isinstance(node, ast.FormattedValue) else ""


def python(source: str, *, with_messages: bool) -> Iterator[Text]:
    """Yield comments, docstrings, names of tests and, unless left out, all other strings of a module."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = source.splitlines()
    blank = [""] * len(lines)
    for token in tokens:
        if token.type == tokenize.COMMENT:
            row, column = token.start
            blank[row - 1] = lines[row - 1][:column].replace("#", "x") + token.string
    yield from comments("\n".join(blank), "#")
    inner: set[int] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield Text(node.lineno, node.name.replace("_", " "))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            inner.add(id(node.value))
            yield from (Text(node.lineno, part) for part in node.value.value.split("\n\n"))
        if isinstance(node, ast.JoinedStr):
            inner |= {id(part) for part in node.values}
        if not with_messages or id(node) in inner or not isinstance(node, ast.Constant | ast.JoinedStr):
            continue
        if text := string(node):
            yield Text(node.lineno, text, is_prose=False)


def c(source: str) -> Iterator[Text]:
    for found in re.finditer(r"/\*(.*?)\*/", source, re.DOTALL):
        yield Text(source[: found.start()].count("\n") + 1, found[1].replace("\n *", "\n"))
    yield from comments(source, "//")


def titles(dashboard: object) -> Iterator[Text]:
    """Yield the titles and descriptions of a dashboard and its panels."""
    if isinstance(dashboard, dict):
        for key, value in dashboard.items():
            if key in ("title", "description", "legendFormat", "displayName") and isinstance(value, str):
                yield Text(1, value)
            yield from titles(value)
    elif isinstance(dashboard, list):
        for value in dashboard:
            yield from titles(value)


def texts(path: Path) -> Iterator[Text]:
    source = path.read_text()
    if path.suffix == ".md":
        yield from paragraphs(source)
    elif path.suffix in (".py", ".pyi") or source.startswith(("#!/usr/bin/env python", "#!/usr/bin/python")):
        yield from python(source, with_messages="tests" not in path.parts)
    elif path.suffix == ".c":
        yield from c(source)
    elif path.suffix == ".json":
        yield from titles(json.loads(source))
    elif path.suffix == ".sql":
        yield from comments(source, "--")
    elif path.suffix == ".toml" or path.suffix in SUFFIXES_OF_CONFIGURATIONS or not path.suffix:
        yield from comments(source, "#")


def hits(text: str, *, is_prose: bool = True) -> Iterator[tuple[str, str]]:
    """Yield each phrase of a text that is not plain English, and what to write instead."""
    text = " ".join(CODE.sub("X", text).split())
    for found in PHRASE.finditer(text):
        number = next(int(name[1:]) for name, value in found.groupdict().items() if value is not None)
        yield found[0], list(PHRASES.values())[number]
    for found in OPENING.finditer(text):
        yield found[0], "subject, verb, object: no sentence opens with this word"
    if is_prose:
        yield from ((found[0], "a statement, not a question") for found in QUESTION.finditer(text))


FOLDERS = ("docs", "otel_logtail", "tests", "benchmarks", "tools", "scripts", "examples", "collector-config", ".ci")


@cache
def files() -> list[Path]:
    found = [path for path in ROOT.iterdir() if path.is_file() and path.name in FILES]
    for folder in FOLDERS:
        found += (path for path in sorted((ROOT / folder).rglob("*")) if path.is_file() and is_text(path))
    return found


FILES = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "Makefile", "Dockerfile", "pyproject.toml", "setup.py")


def is_text(path: Path) -> bool:
    name = path.relative_to(ROOT).as_posix()
    return not name.startswith(NOT_OURS) and path.suffix not in (".so", ".png", ".pyc", ".html", ".txt", ".log", ".xml")


def findings(path: Path) -> list[str]:
    name = path.relative_to(ROOT).as_posix()
    return [
        f"{name}:{text.line}: {phrase!r}: write {instead}"
        for text in texts(path)
        for phrase, instead in hits(text.words, is_prose=text.is_prose)
    ]


def area(path: Path) -> str:
    """Return the folder of a file, and in the package its room."""
    parts = path.relative_to(ROOT).parts
    return "/".join(parts[: 2 if parts[0] in ("otel_logtail", "tests", "docs") and len(parts) > 2 else 1])


AREAS = sorted({area(path) for path in files()})


@pytest.mark.parametrize("folder", AREAS)
def test_texts_are_plain_english(folder: str) -> None:
    ours = [path for path in files() if area(path) == folder]
    assert ours
    assert [finding for path in ours if path != Path(__file__).resolve() for finding in findings(path)] == []


def commands(command: Any, name: str) -> Iterator[tuple[str, str]]:
    """Yield the name and the help of a command, of its options and of all commands below it."""
    yield name, command.help or ""
    for parameter in command.params:
        yield f"{name} {parameter.name}", getattr(parameter, "help", None) or ""
    for child in getattr(command, "commands", {}).values():
        yield from commands(child, f"{name} {child.name}")


def test_help_is_plain_english() -> None:
    found = list(commands(typer.main.get_command(program()), "otel-logtail"))
    assert len(found) > 100
    assert [(name, *hit) for name, text in found for hit in hits(text)] == []


@pytest.mark.parametrize(
    "text",
    [
        *("kept for ever", "it is set aside", "exporters are told", "the store says so", "a receiver that wants it"),
        *("what is old leaves the store", "the totals lie there; it lies there", "it is mended", "'x' is no duration"),
        *("Whose log it is.", "Of a log that rests nothing is read.", "Where can be sent to: names.", "Is it open?"),
        *("Kept. With this nothing is lost", "each drain", "a look", "a back-up", "if nobody reads", "data on its way"),
        *("What it needs", "the `name` was told of it; this is told", "the file\nlies there"),
    ],
)
def test_a_riddle_is_found(text: str) -> None:
    assert list(hits(text))


@pytest.mark.parametrize(
    "text",
    [
        *("The REST API is no longer used.", "There is no file, so it is no more than a warning.", "The rest is read."),
        *("The program waits with one file open.", "It shows where data is.", "`says` and ``told`` are names."),
        *("See [the page](docs/what-was-said.md).", "SELECT a FROM b WHERE c = ?", "A line ends with a newline."),
        *("OTLP stands for OpenTelemetry Protocol.", "Files cannot be told apart.", "Outlook, looking, island, essays"),
    ],
)
def test_plain_english_is_not_found(text: str) -> None:
    assert list(hits(text, is_prose="SELECT" not in text)) == []


def test_texts_of_each_kind_are_read(tmp_path: Path) -> None:
    module = tmp_path / "module.py"
    module.write_text('"""One."""\n# two\n# three\nx = f"four {x}"  # five\ndef test_six() -> None: ...\n')
    assert [text.words for text in texts(module)] == ["two three", "five", "One.", "test six", "four X"]
    page = tmp_path / "page.md"
    page.write_text("# One\n\ntwo\nthree\n\n- four\n  five\n- six\n\n```\nseven\n```\n\n| eight | nine |\n")
    assert [text.words.strip() for text in texts(page) if text.words.strip()] == (
        ["One", "two three", "four   five", "six", "eight", "nine"]
    )
    (code := tmp_path / "code.c").write_text("/* one\n * two */\nint x; // three\n")
    assert [text.words.split() for text in texts(code)] == [["one", "two"], ["three"]]
