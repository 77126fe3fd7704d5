"""Names that are also patterns: their meaning, and a search that finishes with any links."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from otel_logtail.tail.discover import discover
from otel_logtail.tail.patterns import could_match, expand, folder_of
from tests.support.tailing import RULE, Follower, append


def make(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"line\n")


def found(folder: Path, pattern: str) -> list[str]:
    """Return the matches of a user's pattern below a folder whose name is not a pattern."""
    return [
        path.removeprefix(f"{folder}/")
        for path in discover(expand([f"{folder}/{pattern}"], {}, ""), RULE, trusted=True)
    ]


ODD_NAMES = [
    "[prod]",
    "a[!b]",
    "{a,b}",
    "what?",
    "back\\slash",
    "new\nline",
    "two  spaces",
    "]",
    "caf\udce9",
    "$HOME",
    "#",
]


@pytest.mark.parametrize("odd", ODD_NAMES)
def test_a_folder_or_file_that_exists_as_it_is_written_is_followed_and_no_other(tmp_path: Path, odd: str) -> None:
    decoys = ["p", "x", "ax", "a", "b", "whatX", "backslash", "newline", "[", "caf"]
    make(
        tmp_path,
        f"{odd}/proxy.log",
        f"{odd}.log",
        *(f"{name}/proxy.log" for name in decoys),
        *(f"{name}.log" for name in decoys),
    )
    assert found(tmp_path, f"{odd}/proxy.log") == [f"{odd}/proxy.log"]
    assert found(tmp_path, f"{odd}/proxy*.log") == [f"{odd}/proxy.log"]
    assert found(tmp_path, f"{odd}.log") == [f"{odd}.log"]


@pytest.mark.parametrize("odd", [*ODD_NAMES, "[[]x", "*", "h*x", "?", "**"])
def test_values_of_variables_and_the_home_directory_are_names(tmp_path: Path, odd: str) -> None:
    make(tmp_path, f"{odd}/proxy.log", "hYx/proxy.log", "p/proxy.log", "other/below/proxy.log", "x/proxy.log")
    for pattern in ("~/proxy*.log", "${SPACE}/proxy*.log", "~/proxy.log", "${SPACE}/proxy.log"):
        patterns = expand([pattern], {"SPACE": f"{tmp_path}/{odd}"}, f"{tmp_path}/{odd}")
        assert discover(patterns, RULE, trusted=True) == [f"{tmp_path}/{odd}/proxy.log"]
        assert all(could_match(f"{tmp_path}/{odd}/proxy.log", pattern) for pattern in patterns)
        assert not any(could_match(f"{tmp_path}/hYx/proxy.log", pattern) for pattern in patterns)
        assert [folder_of(pattern) for pattern in patterns] == [f"{tmp_path}/{odd}"]


def test_the_folder_that_a_relative_pattern_begins_in_is_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, "h*x/proxy.log", "hYx/proxy.log")
    monkeypatch.chdir(tmp_path / "h*x")
    assert discover(expand(["proxy*.log"], {}, ""), RULE, trusted=True) == [f"{tmp_path}/h*x/proxy.log"]


def test_what_does_not_exist_as_it_is_written_is_a_pattern(tmp_path: Path) -> None:
    make(tmp_path, "p/proxy.log", "q/proxy.log", "proxy-1.log", "proxy-2.log")
    assert found(tmp_path, "[pr]/proxy.log") == ["p/proxy.log"]
    assert found(tmp_path, "proxy-[12].log") == ["proxy-1.log", "proxy-2.log"]
    assert found(tmp_path, "proxy-?.log") == ["proxy-1.log", "proxy-2.log"]
    assert found(tmp_path, "[pq]/*.log") == ["p/proxy.log", "q/proxy.log"]


def test_a_file_name_with_an_asterisk_is_always_a_pattern(tmp_path: Path) -> None:
    make(tmp_path, "proxy-1.log", "*.log")  # a shell that found none has made it
    assert found(tmp_path, "*.log") == ["*.log", "proxy-1.log"]
    assert found(tmp_path, "[*].log") == ["*.log"]


def test_a_literal_name_stays_one_while_its_file_is_away(tmp_path: Path) -> None:
    make(tmp_path, "app1.log")
    log = tmp_path / "app[1].log"
    append(log, "ours")
    follower = Follower(str(log), from_start=True)
    assert follower.follow() == ["ours"]
    log.rename(tmp_path / "app[1].log.1")
    assert follower.follow() == []
    follower.restart()
    assert follower.follow() == []
    append(log, "again")
    assert follower.follow() == ["again"]
    assert list(follower.tail.live) == [str(log)]


def test_a_folder_that_is_created_later_is_taken_literally(tmp_path: Path) -> None:
    make(tmp_path, "elsewhere.log")
    follower = Follower(f"{tmp_path}/[prod]/proxy*.log", from_start=True)
    assert follower.follow() == []
    append_to = tmp_path / "[prod]" / "proxy-1.log"
    append_to.parent.mkdir()
    append(append_to, "late")
    assert follower.follow() == ["late"]


# --- links --------------------------------------------------------------------------------------------------------


def test_each_file_is_found_once_by_its_plainest_name_with_any_links(tmp_path: Path) -> None:
    make(tmp_path, "a/b/proxy.log", "c/proxy-1.log")
    (tmp_path / "self").symlink_to(".")
    (tmp_path / "a" / "up").symlink_to("..")
    (tmp_path / "a" / "b" / "top").symlink_to(tmp_path)
    (tmp_path / "0").symlink_to("a")
    (tmp_path / "broken").symlink_to("nowhere")
    (tmp_path / "round").symlink_to("round")
    both = ["a/b/proxy.log", "c/proxy-1.log"]
    assert found(tmp_path, "**/proxy*.log") == both
    assert found(tmp_path, "**/**/proxy*.log") == both
    assert found(tmp_path, "**") == both
    assert found(tmp_path, "*/*/proxy*.log") == ["a/b/proxy.log", "self/c/proxy-1.log"]
    assert found(tmp_path, "self/self/c/proxy*.log") == ["self/self/c/proxy-1.log"]


def test_what_is_only_reached_through_a_link_is_found(tmp_path: Path) -> None:
    make(tmp_path / "elsewhere", "x/proxy.log")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "linked").symlink_to(tmp_path / "elsewhere")
    assert found(tmp_path, "logs/**/proxy.log") == ["logs/linked/x/proxy.log"]


def test_the_work_grows_with_the_directories_and_not_with_the_ways_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = os.scandir

    def counted(path: str) -> object:
        calls.append(path)
        return real(path)

    monkeypatch.setattr(os, "scandir", counted)
    for number in range(12):  # each linked from each: more ways than could ever be walked
        folder = tmp_path / f"d{number}"
        make(folder, "proxy.log")
        for other in range(12):
            (folder / f"to{other}").symlink_to(tmp_path / f"d{other}")
    assert len(found(tmp_path, "**/proxy.log")) == 12
    assert len(calls) <= 3 * 13


def test_hidden_names_are_found_only_by_who_names_them(tmp_path: Path) -> None:
    make(tmp_path, ".x/proxy.log", ".proxy.log", "y/proxy.log")
    assert found(tmp_path, "**/*.log") == ["y/proxy.log"]
    assert found(tmp_path, ".x/*.log") == [".x/proxy.log"]
    assert found(tmp_path, ".*.log") == [".proxy.log"]


def test_a_search_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    make(tmp_path, "a/proxy.log", "b/proxy.log")
    assert discover([f"{tmp_path}/**/*.log"], RULE, trusted=True, stopping=lambda: True) == []
