"""Several live paths as one source: which there are, what their names mean, and what waits for what."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest

from otel_logtail.errors import StoreFull, UsageError
from otel_logtail.tail.discover import check_paths, discover
from otel_logtail.tail.held import GRACE_S
from otel_logtail.tail.patterns import expand
from tests.support.tailing import RULE, Follower, append, append_bytes, copytruncate, read_one, rotate


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).touch()


def found(folder: Path, *, trusted: bool) -> list[str]:
    return [os.path.basename(path) for path in discover([f"{folder}/*"], RULE, trusted=trusted)]


# --- which files --------------------------------------------------------------------------------------------------


def test_observers_own_patterns_find_only_its_names(tmp_path: Path) -> None:
    touch(tmp_path, "proxy.log", "proxy-8787.log", "proxy-8787-123.log", "proxy-stdio-8787.log", "other.log")
    touch(tmp_path, "proxy.log.1", "proxy-8787.log.2.gz", "proxy-20240131.log")
    assert found(tmp_path, trusted=False) == ["proxy-8787-123.log", "proxy-8787.log", "proxy.log"]


def test_pid_that_resembles_a_date_is_a_separate_live_file(tmp_path: Path) -> None:
    touch(tmp_path, "proxy.log", "proxy-8787-1234.log", "proxy-8787-12345.log")
    assert found(tmp_path, trusted=False) == ["proxy-8787-1234.log", "proxy-8787-12345.log", "proxy.log"]


def test_users_patterns_find_all_but_copies_and_rotated_files(tmp_path: Path) -> None:
    touch(tmp_path, "app.log", "app.log.1", "app.log.2.gz", "app-2024-01-31.log", "proxy-stdio-1.log", "other")
    (tmp_path / "folder.log").mkdir()
    assert found(tmp_path, trusted=True) == ["app.log", "other"]


def test_path_without_wildcards_is_followed_under_any_name(tmp_path: Path) -> None:
    path = tmp_path / "proxy.log.1"
    append(path, "one")
    assert Follower(path, from_start=True).follow() == ["one"]


def test_rotated_file_named_beside_its_live_one_is_read_once(tmp_path: Path) -> None:
    append(tmp_path / "proxy.log.1", "one")
    append(tmp_path / "proxy.log", "two")
    follower = Follower(tmp_path / "proxy.log", tmp_path / "proxy.log.1", from_start=True)
    assert follower.follow_over_grace() == ["one", "two"]


def test_pattern_with_a_variable_that_is_not_set_is_left_out() -> None:
    patterns = ["${SPACE}/logs/*.log", "~/.headroom/*.log", "~", "relative.log"]
    assert expand(patterns, {}, "/home/u")[:2] == ["/home/u/.headroom/*.log", "/home/u"]
    assert expand(patterns, {"SPACE": "/w"}, "/home/u")[0] == "/w/logs/*.log"
    assert expand(["${SPACE}/x"], {"SPACE": ""}, "/home/u") == []
    assert os.path.isabs(expand(["relative.log"], {}, "/home/u")[0])


def test_folder_device_and_nothing_to_read_once_are_usage_errors(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for patterns, once in [
        ([tmp_path], False),
        ([fifo], False),
        ([tmp_path / "*.log"], True),
        ([tmp_path / "x"], True),
    ]:
        with pytest.raises(UsageError) as raised:
            check_paths(map(str, patterns), RULE, trusted=True, once=once)
        assert raised.value.hint
    check_paths([str(tmp_path / "*.log")], RULE, trusted=True, once=False)


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("report.html", "name a log that exists with --path"),
        ("report.1", "only rotated files are there: name the path that"),
    ],
)
def test_only_names_of_rotated_files_are_named_so(tmp_path: Path, name: str, hint: str) -> None:
    (tmp_path / name).write_bytes(b"x\n")
    with pytest.raises(UsageError) as raised:
        check_paths([str(tmp_path / "repor*[t]")], RULE, trusted=True, once=True)
    assert raised.value.hint.startswith(hint)


# --- coming and going ---------------------------------------------------------------------------------------------


def test_files_that_are_there_at_first_begin_at_their_end_and_later_ones_at_their_start(tmp_path: Path) -> None:
    append(tmp_path / "proxy-1.log", "old")
    follower = Follower(tmp_path / "proxy*.log")
    assert follower.follow() == []
    append(tmp_path / "proxy-2.log", "new file")
    append(tmp_path / "proxy-1.log", "new line")
    assert sorted(follower.follow()) == ["new file", "new line"]


def test_file_that_appears_under_a_pattern_that_matched_nothing_is_read_from_its_start(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "later" / "proxy*.log")
    follower.follow()
    follower.follow()
    assert follower.said.count("no file matches") == 1
    (tmp_path / "later").mkdir()
    append(tmp_path / "later" / "proxy-1.log", "one")
    assert follower.follow() == ["one"]


def test_file_created_after_a_restart_is_read_from_its_start(tmp_path: Path) -> None:
    append(tmp_path / "proxy-1.log", "old")
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    follower.restart(before=lambda: append(tmp_path / "proxy-2.log", "new"))
    assert follower.follow() == ["new"]


def test_path_that_disappears_is_closed_and_known_when_it_reappears(tmp_path: Path) -> None:
    path, aside = tmp_path / "proxy-1.log", tmp_path / "aside"
    path.touch()
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    append(path, "one")
    path.rename(aside)
    follower.follow_over_grace()
    follower.follow()
    assert (follower.lines, follower.open_files) == (["one"], 0)
    assert not follower.tail.held
    append(aside, "two")
    aside.rename(path)
    assert follower.follow() == ["two"]


def test_log_of_a_process_that_has_ended_is_read_to_its_end_though_it_was_rotated_while_away(tmp_path: Path) -> None:
    path = tmp_path / "proxy-8787-123.log"
    path.touch()
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()

    def while_away() -> None:
        append(path, "last words")
        rotate(path, create=False)

    follower.restart(before=while_away)
    assert follower.follow() == ["last words"]


def test_path_that_no_longer_matches_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "proxy-1.log"
    path.touch()
    follower = Follower(path)
    follower.follow()
    follower.patterns = [str(tmp_path / "other.log")]

    def while_away() -> None:
        append(path, "one")
        rotate(path, create=False)

    follower.restart(before=while_away)
    assert follower.follow() == []


def test_file_moved_to_another_matched_name_during_a_stop_is_continued_there(tmp_path: Path) -> None:
    first, second = tmp_path / "proxy-1.log", tmp_path / "proxy-2.log"
    first.touch()
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    append(first, "one")
    follower.follow()

    def while_away() -> None:
        append(first, "two")
        first.rename(second)
        append(first, "three")

    follower.restart(before=while_away)
    assert sorted(follower.follow()) == ["three", "two"]
    assert "gone" not in follower.said


def test_file_moved_to_another_matched_name_while_followed_repeats_nothing(tmp_path: Path) -> None:
    first, second = tmp_path / "proxy-1.log", tmp_path / "proxy-2.log"
    first.touch()
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    append(first, "one")
    follower.follow()
    first.rename(second)
    append(second, "two")
    append(first, "three")
    assert sorted(follower.follow()) == ["three", "two"]
    follower.follow_over_grace()
    append(second, "four")
    assert follower.follow() == ["four"]
    append(second, "five")
    follower.restart()
    assert follower.follow() == ["five"]


@pytest.mark.parametrize("link", [os.symlink, os.link])
def test_two_names_of_one_file_are_followed_once(tmp_path: Path, link: object) -> None:
    real = tmp_path / "proxy-2.log"
    append(real, "one")
    assert callable(link)
    link(real, tmp_path / "proxy-1.log")
    follower = Follower(tmp_path / "proxy*.log", from_start=True)
    assert follower.follow() == ["one"]
    append(real, "two")
    assert follower.follow() == ["two"]
    assert follower.said.count("followed once") == 1
    follower.restart()
    assert follower.follow() == []


def test_symbolic_link_beside_the_files_that_it_points_at_one_after_the_other(tmp_path: Path) -> None:
    link = tmp_path / "proxy.log"
    for n in range(1, 4):
        append(tmp_path / f"proxy-{n}.log", f"file {n}")
        link.unlink(missing_ok=True)
        link.symlink_to(tmp_path / f"proxy-{n}.log")
        if n == 1:
            follower = Follower(tmp_path / "proxy*.log", from_start=True)
        follower.follow()
    assert follower.lines == ["file 1", "file 2", "file 3"]


def test_two_live_files_rotate_apart_from_each_other(tmp_path: Path) -> None:
    logs = [tmp_path / "proxy.log", tmp_path / "proxy-8787.log", tmp_path / "proxy-8787-123.log"]
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    written: dict[Path, list[str]] = {log: [] for log in logs}
    for n in range(20):
        for at, log in enumerate(logs):
            written[log].append(f"{log.name} {n}")
            append(log, written[log][-1])
            if (n + at) % 3 == 0:
                rotate(log, compress=gzip.compress if n % 2 else None, suffix=".gz")
            elif (n + at) % 5 == 0:
                rotate(log)
        if n % 4 == 0:
            follower.restart()
        follower.follow()
    follower.follow_over_grace()
    for log in logs:
        assert [line for line in follower.lines if line.split()[0] == log.name] == written[log]


# --- hints --------------------------------------------------------------------------------------------------------


def test_hint_looks_only_at_what_it_names(tmp_path: Path) -> None:
    first, second = tmp_path / "proxy-1.log", tmp_path / "proxy-2.log"
    touch(tmp_path, first.name, second.name)
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    append(first, "one")
    append(second, "two")
    assert follower.look([first]).read() == ["one"]
    assert follower.look([]).read() == []
    assert follower.look([second]).read() == ["two"]


def test_hint_at_a_file_that_is_not_known_finds_it(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    append(tmp_path / "proxy-1.log", "one")
    assert follower.look([tmp_path / "proxy-1.log"]).read() == ["one"]


def test_hint_at_a_copy_of_the_same_lines_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "proxy-1.log")
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    append(tmp_path / "proxy-1.log", "one")
    assert follower.look([tmp_path / "proxy-stdio-1.log"]).read() == []
    assert follower.look([tmp_path / "proxy-1.log"]).read() == ["one"]


def test_hint_at_what_has_none_of_our_names_is_none(tmp_path: Path) -> None:
    touch(tmp_path, "proxy-1.log")
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    append(tmp_path / "proxy-1.log", "one")
    for name in ("other.log", "prox", "proxy-2.txt", "store.db-wal"):
        assert follower.look([tmp_path / name]).read() == []
    assert follower.look([tmp_path / "other.log", tmp_path / "proxy-1.log"]).read() == ["one"]


def test_event_for_a_rotated_file_scans_its_live_path(tmp_path: Path) -> None:
    log, data = tmp_path / "logs" / "proxy-1.log", tmp_path / "data"
    data.mkdir()
    log.parent.mkdir()
    (data / "real").touch()
    log.symlink_to(data / "real")
    touch(log.parent, "proxy-2.log")
    follower = Follower(log.parent / "proxy*.log")
    follower.follow()
    for path, rotated in ((log.parent / "proxy-2.log", log.parent / "proxy-2.log.1"), (data / "real", data / "real.1")):
        path.rename(rotated)
        path.touch()
        follower.follow()
        append(rotated, f"late in {rotated.name}")  # its writer still holds it
        assert follower.look([rotated]).read() == [f"late in {rotated.name}"]
        append(path, f"in {path.name}")
        assert follower.look([path]).read() == [f"in {path.name}"]


def test_event_for_the_new_target_of_a_link_scans_everything(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    append(tmp_path / "data" / "monday", "one")
    log = tmp_path / "proxy.log"
    log.symlink_to(tmp_path / "data" / "monday")
    follower = Follower(log, from_start=True)
    assert follower.follow() == ["one"]
    log.unlink()
    log.symlink_to(tmp_path / "data" / "tuesday")
    append(tmp_path / "data" / "tuesday", "two")
    assert follower.look([tmp_path / "data" / "tuesday"]).read() == ["two"]


def test_event_for_an_open_file_by_any_name_scans_its_live_path(tmp_path: Path) -> None:
    log = tmp_path / "proxy.log"
    append(log, "one")
    (tmp_path / "hard").hardlink_to(log)
    follower = Follower(log, from_start=True)
    assert follower.follow() == ["one"]
    append(log, "two")
    assert follower.look([tmp_path / "hard"]).read() == ["two"]
    for number, name in enumerate(("proxy.log.old", "elsewhere")):
        (tmp_path / "proxy.log").rename(tmp_path / name)
        append(log, f"new {number}")
        follower.follow()
        append(tmp_path / name, f"late {number}")  # its writer still holds it
        assert follower.look([tmp_path / name]).read() == [f"late {number}"]


def test_hint_at_a_file_for_which_two_stars_stand_for_no_directory(tmp_path: Path) -> None:
    follower = Follower(tmp_path / "**" / "proxy*.log", from_start=True)
    follower.follow()
    append(tmp_path / "proxy-1.log", "one")
    assert follower.look([tmp_path / "proxy-1.log"]).read() == ["one"]


def test_event_with_another_name_of_the_directory_scans_everything(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "logs")
    touch(tmp_path / "logs", "proxy-1.log")
    follower = Follower(tmp_path / "link" / "proxy*.log")
    follower.follow()
    append(tmp_path / "logs" / "proxy-1.log", "one")
    assert follower.look([tmp_path / "logs" / "proxy-1.log"]).read() == ["one"]  # in the form of FSEvents


def test_event_for_a_directory_scans_everything(tmp_path: Path) -> None:
    touch(tmp_path, "proxy-1.log")
    follower = Follower(tmp_path / "proxy*.log")
    follower.follow()
    append(tmp_path / "proxy-1.log", "one")
    assert follower.look([tmp_path]).read() == ["one"]


def test_ready_are_those_that_may_have_more(tmp_path: Path) -> None:
    touch(tmp_path, "proxy-1.log", "proxy-2.log")
    follower = Follower(tmp_path / "proxy*.log")
    follower.look()
    assert len(follower.tail.ready) == 2
    follower.read()
    assert not follower.tail.ready


def test_live_path_that_is_first_by_the_order_is_read_first(tmp_path: Path) -> None:
    append(tmp_path / "proxy-1.log", "one")
    append(tmp_path / "proxy-2.log", "two")
    follower = Follower(tmp_path / "proxy*.log", from_start=True)
    follower.look()
    found = read_one(follower.tail, 0.0, lambda live: -int(live[-5]))
    assert found is not None
    assert found[1].data == b"two\n"


def test_directories_are_those_of_patterns_files_and_what_links_point_at(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    append(tmp_path / "data" / "real", "one")
    (tmp_path / "proxy.log").symlink_to(tmp_path / "data" / "real")
    follower = Follower(tmp_path / "proxy*.log", tmp_path / "*" / "none" / "x.log")
    follower.follow()
    assert follower.tail.directories() == {str(tmp_path), str(tmp_path / "data")}


# --- a store of checkpoints that fails ----------------------------------------------------------------------------


@pytest.mark.parametrize("calls", range(6))
def test_checkpoints_that_fail_while_several_files_are_scanned_lose_nothing(tmp_path: Path, calls: int) -> None:
    logs = [tmp_path / f"proxy-{n}.log" for n in range(3)]
    follower = Follower(tmp_path / "proxy*.log", first=False)
    for log in logs:
        append(log, f"{log.name} 1")
        rotate(log)
        append(log, f"{log.name} 2")
    follower.memory.fails = calls
    with pytest.raises(StoreFull):
        follower.follow()
    follower.memory.fails = None
    copytruncate(logs[0], tmp_path / "proxy-0.log.2024-01-01")
    append_bytes(logs[0], b"proxy-0.log 3\n")
    follower.follow_over_grace()
    assert sorted(follower.lines) == sorted(
        ["proxy-0.log 3", *(f"{log.name} {n}" for log in logs for n in (1, 2))],
    )


def test_descriptors_are_freed_when_it_is_closed(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    for n in range(5):
        append(tmp_path / f"proxy-{n}.log", "one")
        rotate(tmp_path / f"proxy-{n}.log", compress=gzip.compress, suffix=".gz")
    follower = Follower(tmp_path / "proxy*.log", from_start=True)
    follower.follow()
    follower.look(after_s=GRACE_S + 1)
    assert follower.open_files == 5
    follower.close()
    if before:
        assert len(os.listdir("/proc/self/fd")) == before
