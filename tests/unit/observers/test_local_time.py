"""Wall times without a zone as UTC: zones, DST, times that do not exist, and a cache that stays small."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from zoneinfo import ZoneInfo, available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from otel_logtail.observers.local_time import IMPOSSIBLE, LocalTime, common_ns, iso_ns

SECOND = 10**9
ZONES = sorted(name for name in available_timezones() if not name.startswith("right/"))
NAMES = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def ns(text: str) -> int:
    """Exact nanoseconds of an ISO time with an offset."""
    since = datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (since.days * 86_400 + since.seconds) * SECOND + since.microseconds * 1000


def utc(zone: str, wall: str) -> int:
    naive_ns = iso_ns(wall.encode())
    assert naive_ns is not None
    return LocalTime(ZoneInfo(zone)).utc_ns(naive_ns)


@pytest.mark.parametrize(
    ("zone", "wall", "expected"),
    [
        ("UTC", "2026-11-29 15:09:09", "2026-11-29 15:09:09+00:00"),
        ("Europe/Vienna", "2026-11-29 15:09:09", "2026-11-29 14:09:09+00:00"),
        ("Europe/Vienna", "2026-07-29 15:09:09", "2026-07-29 13:09:09+00:00"),
        ("America/St_Johns", "2026-11-29 11:59:54", "2026-11-29 15:29:54+00:00"),
        ("Asia/Kolkata", "2026-11-29 15:09:09", "2026-11-29 09:39:09+00:00"),
        ("Asia/Kathmandu", "2026-11-30 00:01:10", "2026-11-29 18:16:10+00:00"),
        ("Pacific/Chatham", "2026-11-30 08:01:10", "2026-11-29 18:16:10+00:00"),
        ("Pacific/Kiritimati", "2026-11-30 08:16:10", "2026-11-29 18:16:10+00:00"),
        ("Etc/GMT+12", "2026-11-29 06:16:10", "2026-11-29 18:16:10+00:00"),
    ],
)
def test_a_wall_time_of_a_zone_is_moved_to_utc(zone: str, wall: str, expected: str) -> None:
    assert utc(zone, wall) == ns(expected)


@pytest.mark.parametrize(
    ("zone", "wall", "expected"),
    [
        ("America/New_York", "2026-03-08 01:59:59", "2026-03-08 06:59:59+00:00"),
        ("America/New_York", "2026-03-08 02:30:00", "2026-03-08 07:30:00+00:00"),  # skipped: as 03:30
        ("America/New_York", "2026-03-08 03:00:00", "2026-03-08 07:00:00+00:00"),
        ("America/New_York", "2026-11-01 00:59:59", "2026-11-01 04:59:59+00:00"),
        ("America/New_York", "2026-11-01 01:30:00", "2026-11-01 05:30:00+00:00"),  # twice: the first
        ("America/New_York", "2026-11-01 02:00:00", "2026-11-01 07:00:00+00:00"),
        ("Australia/Lord_Howe", "2026-04-05 01:29:59", "2026-04-04 14:29:59+00:00"),  # half an hour of DST
        ("Australia/Lord_Howe", "2026-04-05 01:45:00", "2026-04-04 14:45:00+00:00"),
        ("Australia/Lord_Howe", "2026-04-05 02:00:00", "2026-04-04 15:30:00+00:00"),
    ],
)
def test_around_a_change_of_clocks_the_first_of_two_times_is_taken(zone: str, wall: str, expected: str) -> None:
    assert utc(zone, wall) == ns(expected)


def test_a_fixed_offset_is_a_zone_too() -> None:
    naive_ns = iso_ns(b"2026-11-29 11:59:54")
    assert naive_ns is not None
    zone = timezone(-timedelta(hours=3, minutes=30))
    assert LocalTime(zone).utc_ns(naive_ns + 215_217_000) == ns("2026-11-29 15:29:54.215217+00:00")


@pytest.fixture
def in_kathmandu(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "Asia/Kathmandu")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("in_kathmandu")
def test_without_a_zone_the_machine_decides() -> None:
    naive_ns = iso_ns(b"2026-11-30 00:01:10")
    assert naive_ns is not None
    assert LocalTime(None).utc_ns(naive_ns) == ns("2026-11-29 18:16:10+00:00")


@pytest.mark.parametrize(
    ("wall", "expected"),
    [
        ("2026-03-08 02:30:00", "2026-03-08 07:30:00+00:00"),
        ("2026-11-01 01:30:00", "2026-11-01 05:30:00+00:00"),
        ("2026-11-01 02:00:00", "2026-11-01 07:00:00+00:00"),
    ],
)
def test_the_machine_changes_its_clocks_like_a_named_zone(
    wall: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    naive_ns = iso_ns(wall.encode())
    assert naive_ns is not None
    try:
        with monkeypatch.context() as patch:
            patch.setenv("TZ", "America/New_York")
            time.tzset()
            assert LocalTime(None).utc_ns(naive_ns) == ns(expected)
    finally:
        time.tzset()


@given(moment=st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 31)), zone=st.sampled_from(ZONES))
@settings(deadline=None)  # a slow machine must not fail the test
def test_every_wall_time_is_read_as_the_first_moment_that_shows_it(moment: datetime, zone: str) -> None:
    there = moment.replace(microsecond=0, tzinfo=timezone.utc).astimezone(ZoneInfo(zone))
    naive_ns = iso_ns(there.strftime("%Y-%m-%d %H:%M:%S").encode())
    assert naive_ns is not None
    clock = LocalTime(ZoneInfo(zone))
    moved = there.replace(fold=0)
    assert clock.utc_ns(naive_ns) == clock.utc_ns(naive_ns) == round(moved.timestamp()) * SECOND


@given(moment=st.datetimes(datetime(1970, 1, 1), datetime(9999, 12, 31)))
@settings(deadline=None)
def test_both_forms_of_a_second_are_read_alike(moment: datetime) -> None:
    iso = f"{moment.year:04}-{moment.month:02}-{moment.day:02} {moment.hour:02}:{moment.minute:02}:{moment.second:02}"
    common = f"{moment.day:02}/{NAMES[moment.month - 1]}/{moment.year:04}:{iso[11:]}"
    expected = ns(moment.replace(microsecond=0, tzinfo=timezone.utc).isoformat())
    assert iso_ns(iso.encode()) == iso_ns(iso.replace(" ", "T").encode()) == common_ns(common.encode()) == expected


@pytest.mark.parametrize(
    "text",
    [
        b"2026-02-30 00:00:00",
        b"2026-13-01 00:00:00",
        b"2026-01-01 24:00:00",
        b"2026-01-01 00:00:60",
        b"0000-00-00 00:00:00",
        b"1969-12-31 23:59:59",
    ],
)
def test_a_time_that_does_not_exist_is_impossible(text: bytes) -> None:
    assert iso_ns(text) == IMPOSSIBLE


@pytest.mark.parametrize("text", [b"30/Feb/2026:00:00:00", b"01/Jan/1969:00:00:00", b"01/Jan/2026:24:00:00"])
def test_a_date_that_does_not_exist_is_impossible(text: bytes) -> None:
    assert common_ns(text) == IMPOSSIBLE


@pytest.mark.parametrize(
    "text",
    [b"", b"2026-11-29", b"2026-11-29 15:09:09 ", b"2026-11-29  5:09:09", b"29/Nov/2026:15:09:09", b"\xd9\xa1" * 19],
)
def test_text_of_another_form_is_not_a_time(text: bytes) -> None:
    assert iso_ns(text) is None


@pytest.mark.parametrize(
    "text", [b"", b"29/nov/2026:15:09:09", b"29/Nix/2026:15:09:09", b"9/Nov/2026:15:09:09", b"29/Nov/2026 15:09:09"]
)
def test_text_of_another_form_is_not_a_date(text: bytes) -> None:
    assert common_ns(text) is None


@pytest.mark.parametrize("zone", [None, "Pacific/Kiritimati", "Etc/GMT+12"])
def test_the_last_years_have_an_answer(zone: str | None) -> None:
    clock = LocalTime(None if zone is None else ZoneInfo(zone))
    for text in (b"9999-12-31 23:59:59", b"1970-01-01 00:00:00"):
        naive_ns = iso_ns(text)
        assert naive_ns is not None
        assert abs(clock.utc_ns(naive_ns) - naive_ns) <= 15 * 3600 * SECOND


def test_the_cache_stays_small_and_does_not_change_the_answers() -> None:
    clock, zone = LocalTime(ZoneInfo("Europe/Vienna")), ZoneInfo("Europe/Vienna")
    for minute in range(5000):
        wall = datetime(2026, 10, 24) + timedelta(minutes=minute)
        naive_ns = iso_ns(wall.strftime("%Y-%m-%d %H:%M:%S").encode())
        assert naive_ns is not None
        assert clock.utc_ns(naive_ns) == round(wall.replace(tzinfo=zone).timestamp()) * SECOND
    assert len(clock._offsets) <= 1024
