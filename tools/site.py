"""The documentation site: hooks of mkdocs, and a check of the result. ``make site`` runs both.

Pages link to files of the repository that are outside of docs/. The site has a page for each of these, so it
needs no other host.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Iterator
from html.parser import HTMLParser
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).resolve().parent.parent
SITE = ROOT / "build" / "site"
DECISIONS = "decisions/index.md"
_LINK = re.compile(r"(?<=\]\()(?![a-z]+:|#)([^)\s#]+)(#[^)\s]*)?(?=\))")
_CODE = re.compile(r"^( *)(```|~~~).*?^\1\2$|`[^`\n]+`", re.DOTALL | re.MULTILINE)
_ITEM = re.compile(r"( {0,3})(?:[-*]|\d+\.) ")
_FILES = "files/"
"""The folder of the site for files from outside of docs/."""
_PAGES = {"README.md": "index.md", "docs/decisions": DECISIONS}
_KINDS_OF_PAGES = (".md", ".png", ".svg", ".txt")
_LEXERS = {"": "text", ".service": "ini", ".plist": "xml", ".conf": "nginx", ".cfg": "text", ".options": "text"}


# --- files from outside of docs/ ---


def page_of(path: str) -> str:
    """Return the page of the site for a file or folder of the repository, both relative to their roots."""
    if path in _PAGES:
        return _PAGES[path]
    if path.startswith("docs/") and path.endswith(_KINDS_OF_PAGES):
        return path.removeprefix("docs/")
    if (ROOT / path).is_dir():
        return f"{_FILES}{path}/index.md"
    return f"{_FILES}{path}{'' if path.endswith('.md') else '.md'}"


def target_of(link: str, file: str) -> str:
    """Return the file or folder that a link in a file leads to; for a folder with a README, that."""
    path = os.path.normpath(PurePosixPath(file).parent / link)
    return f"{path}/README.md" if (ROOT / path / "README.md").exists() else path


def links(text: str) -> Iterator[re.Match[str]]:
    """Yield the links of a page that are not code: the target, and the anchor behind it."""
    code = [match.span() for match in _CODE.finditer(text)]
    for link in _LINK.finditer(text):
        if not any(start <= link.start() < end for start, end in code):
            yield link


def with_links(text: str, file: str, page: str) -> str:
    """Return the text of a file, with links from its page to other pages of the site."""
    start = str(PurePosixPath(page).parent)
    for link in reversed(list(links(text))):
        target = target_of(link[1], file)
        if (ROOT / target).exists():
            moved = os.path.relpath(page_of(target), start) + (link[2] or "")
            text = text[: link.start()] + moved + text[link.end() :]
    return text


def shown(path: str) -> str:
    """Return the text of the page that shows a file or the files of a folder."""
    if (ROOT / path).is_dir():
        names = sorted(child.name for child in (ROOT / path).iterdir() if child.is_file())
        return f"# {path}\n\n" + "".join(f"- [{name}]({name})\n" for name in names)
    text = (ROOT / path).read_text()
    if path.endswith(".md"):
        return text
    suffix = PurePosixPath(path).suffix
    return f"# {path}\n\n````{_LEXERS.get(suffix, suffix[1:])}\n{text.rstrip()}\n````\n"


def outside(files: Iterable[str]) -> dict[str, str]:
    """Return each file outside of docs/ that these files lead to, also through one another, and its text."""
    found: dict[str, str] = {}
    waiting = list(files)
    while waiting:
        one = waiting.pop()
        base = f"{one}/index.md" if (ROOT / one).is_dir() else one
        for link in links(found.get(one) or shown(one)) if base.endswith(".md") else ():
            target = target_of(link[1], base)
            if page_of(target).startswith(_FILES) and (ROOT / target).exists() and target not in found:
                found[target] = shown(target)
                waiting.append(target)
    return found


def decisions() -> str:
    """Return the list of all decision records."""
    lines = [
        "# Decisions",
        "",
        "Each record has the context of a decision, the decision, and the measurements behind it.",
        "",
    ]
    for path in sorted((ROOT / "docs" / "decisions").glob("0*.md")):
        number, title = path.read_text().partition("\n")[0].removeprefix("# ").split(" ", 1)
        lines.append(f"- [{number}]({path.name}) {title}")
    return "\n".join(lines) + "\n"


# --- hooks ---


def on_config(config: Any) -> Any:
    """Give headings the anchors that they have on GitHub."""
    from pymdownx.slugs import slugify

    config.mdx_configs["toc"]["slugify"] = slugify(case="lower")
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the files from outside of docs/ that pages link to, and the list of decisions."""
    from mkdocs.structure.files import File

    pages = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    for path, text in sorted(outside(pages).items()):
        base = f"{path}/index.md" if (ROOT / path).is_dir() else path
        files.append(File.generated(config, page_of(path), content=with_links(text, base, page_of(path))))
    files.append(File.generated(config, DECISIONS, content=decisions()))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Turn links to files of the repository into links to pages of the site."""
    uri = page.file.src_uri
    text = with_links(markdown, f"docs/{uri}", uri) if page.file.generated_by is None else markdown
    return for_python_markdown(text)


def for_python_markdown(text: str) -> str:
    """Return a page of GitHub's Markdown in the form that Python-Markdown shows in the same way.

    A list may follow a paragraph without an empty line, nested lists may have two or three spaces, and a bar in code
    may have a backslash in a table.
    """
    lines: list[str] = []
    in_code = in_list = False
    for line in text.split("\n"):
        in_code ^= line.startswith("```")
        item = None if in_code else _ITEM.match(line)
        if item and item[1]:
            line = "    " + line.lstrip()
        elif item and not in_list and lines and lines[-1].strip() and not lines[-1].startswith("#"):
            lines.append("")
        if not in_code and line.startswith("|"):
            line = re.sub(r"`[^`]*`", lambda code: code[0].replace("\\|", "|"), line)
        in_list = bool(item) or (in_list and (line[:1] in ("", " ") or bool(lines[-1].strip())))
        lines.append(line)
    return "\n".join(lines)


# --- the check of the result ---


class _Requests(HTMLParser):
    """Collects the addresses that a browser requests by itself, and those that a link leads to."""

    def __init__(self) -> None:
        super().__init__()
        self.requested: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        names = ["src", "data", "poster", "action"] + ([] if tag == "a" else ["href"])
        if tag == "link" and given.get("rel") in ("canonical", "prev", "next"):
            names.remove("href")
        self.requested += [value for name in names if (value := given.get(name))]
        for part in (given.get("srcset") or "").split(","):
            self.requested += part.split()[:1]
        self.requested += re.findall(r"url\(\s*['\"]?([^'\")]+)", given.get("style") or "")


def requests(text: str) -> list[str]:
    """Return the addresses that a browser requests when it opens a page."""
    parser = _Requests()
    parser.feed(text)
    return parser.requested


def is_elsewhere(address: str) -> bool:
    """Return whether an address is on another host."""
    parts = urlsplit(address)
    return bool(parts.netloc) or parts.scheme in ("http", "https", "ws", "wss")


def problems(site: Path) -> Iterator[str]:
    """Yield each request to another host, and each local address that the site does not have."""
    pages = sorted(site.rglob("*.html"))
    if len(pages) < 20:
        yield f"{site} has only {len(pages)} pages"
    for path in pages:
        for address in requests(path.read_text()):
            local = address.partition("#")[0].partition("?")[0]
            if is_elsewhere(address):
                yield f"{path.relative_to(site)} requests {address}"
            elif local and not address.startswith("data:") and not _exists(site, path, local):
                yield f"{path.relative_to(site)} requests {address}, which does not exist"
    for path in sorted(site.rglob("*.css")):
        for address in re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", path.read_text()):
            if is_elsewhere("".join(address)):
                yield f"{path.relative_to(site)} requests {''.join(address)}"


def _exists(site: Path, page: Path, address: str) -> bool:
    target = site / address.lstrip("/") if address.startswith("/") else page.parent / address
    return target.exists()


if __name__ == "__main__":
    found = list(problems(SITE))
    sys.exit("\n".join(found) if found else 0)
