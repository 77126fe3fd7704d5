"""TLS trusts the same authorities over HTTP, gRPC and the hex bus, in the daemon and in `doctor`."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest

from otel_logtail.errors import UsageError
from otel_logtail.exporters.trust import client_context, trusted_roots
from tests.support import forked
from tests.support.certificates import Authority, Pair
from tests.support.hex_engine import Engine
from tests.support.lines import line
from tests.support.receiver import flags, receiving
from tests.support.waiting import bound_s

PROTOCOLS = ("http", "grpc", "hex")
SYSTEM_FOLDER = os.path.realpath("/etc/ssl/certs")


class Place(NamedTuple):
    """The places of an authority: variables, and a folder that replaces the system's."""

    environ: dict[str, str]
    system: Path | None = None


def system_store(authority: Authority, folder: Path) -> Place:
    folder.mkdir()
    shutil.copy(authority.trust, folder / "ca-certificates.crt")
    return Place({}, folder)


def ssl_cert_dir(authority: Authority, folder: Path) -> Place:
    folder.mkdir()
    shutil.copy(authority.trust, folder / "company.pem")
    (folder / "README").write_bytes(b"\xff no certificate\n")
    return Place({"SSL_CERT_DIR": f"{folder}:{folder}"})


PLACES: dict[str, Callable[[Authority, Path], Place]] = {
    "the system's store": system_store,
    "SSL_CERT_FILE": lambda authority, _: Place({"SSL_CERT_FILE": str(authority.trust)}),
    "SSL_CERT_DIR": ssl_cert_dir,
    "OTEL_EXPORTER_OTLP_CERTIFICATE": lambda authority, _: Place(
        {"OTEL_EXPORTER_OTLP_CERTIFICATE": str(authority.trust)}
    ),
}
NOT_PLACES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH")
"""Variables of one library each: if one of them counted, protocols would differ."""


def in_front(place: Place) -> list[str]:
    """Return the command prefix that puts a folder in the system's place, or skip without mount namespaces."""
    if place.system is None:
        return []
    script = f'mount --bind "{place.system}" "{SYSTEM_FOLDER}" && exec "$@"'
    prefix = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--mount", "sh", "-c", script, "sh"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode
    ):
        pytest.skip("no mount name space here")
    return prefix


@contextmanager
def destination(protocol: str, tls: Pair) -> Iterator[tuple[list[str], Callable[[], int]]]:
    """A receiver over TLS: what sends to it, and how many breaches it has."""
    if protocol == "hex":
        with Engine(tls=tls.context()) as engine:
            options = ["--exporter", "hex", "--hex-max-age", "none", "--hex-url", engine.url]
            yield options, lambda: len(engine.stored)
        return
    with receiving(protocol, tls) as receiver:
        yield [*flags(protocol), "--otlp-endpoint", receiver.endpoint], lambda: receiver.breaches().total()


def command(tmp_path: Path, options: list[str], *more: str) -> list[str]:
    log = tmp_path / "proxy-8787.log"
    log.write_bytes(b"".join([line(1), line(2, ms=700), line(500)]))
    return [
        *(sys.executable, "-m", "otel_logtail", "--observer", "headroom", "--path", str(log)),
        *("--db", str(tmp_path / "s.db"), *options, *more),
    ]


def go(place: Place, arguments: list[str], home: Path) -> subprocess.CompletedProcess[str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith(("OTEL", "SSL_", "REQUESTS_", "CURL_", "GRPC_"))}
    environ = {**own, "HOME": str(home), "TZ": "UTC", **place.environ}
    program = (sys.executable, "-m", "otel_logtail")
    if place.system is None and forked.can_fork(place.environ) and (*arguments[:3],) == program:
        return forked.completed(arguments[3:], environ)
    return subprocess.run(
        [*in_front(place), *arguments], env=environ, capture_output=True, text=True, timeout=bound_s(60), check=False
    )


@pytest.mark.parametrize(
    ("protocol", "place"),
    [
        (protocol, place)
        for protocol in PROTOCOLS
        for place in PLACES
        if (protocol, place) != ("hex", "OTEL_EXPORTER_OTLP_CERTIFICATE")  # no OTLP: that variable is not its own
    ],
)
def test_an_authority_is_trusted_wherever_it_is_made_known(tmp_path: Path, protocol: str, place: str) -> None:
    authority = Authority(tmp_path / "authority")
    found = PLACES[place](authority, tmp_path / "place")
    with destination(protocol, authority.issue()) as (options, delivered):
        done = go(found, command(tmp_path, options, "--once"), tmp_path)
        assert (done.returncode, delivered() > 0) == (0, True), done.stderr
        said = go(found, command(tmp_path, options, "doctor"), tmp_path).stdout
    told = [text for text in said.splitlines() if "it gets no marks" not in text]  # the receiver has no logs
    checks = [text for text in told if "exporter" in text or "clock" in text]
    assert checks and all(text.startswith("ok") for text in checks), said
    assert "clock" in said if protocol == "http" else True


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_unknown_authority_is_trusted_nowhere_for_any_variable_of_one_library(tmp_path: Path, protocol: str) -> None:
    authority = Authority(tmp_path / "authority")
    place = Place({name: str(authority.trust) for name in NOT_PLACES})
    with destination(protocol, authority.issue()) as (options, delivered):
        done = go(place, command(tmp_path, options, "--once"), tmp_path)
        assert (done.returncode, delivered()) == (1, 0), done.stderr
        assert "unable to get local issuer certificate" in done.stderr
        said = go(place, command(tmp_path, options, "doctor"), tmp_path)
    assert "unable to get local issuer certificate" in said.stdout
    assert said.returncode == 1


def test_a_system_without_any_certificates_has_the_bundled_ones(tmp_path: Path) -> None:
    place = Place({}, tmp_path / "empty")
    (tmp_path / "empty").mkdir()
    counted = "from otel_logtail.exporters.trust import *; print(trusted_roots({}).count(b'BEGIN CERT'))"
    done = go(place, [sys.executable, "-c", counted], tmp_path)
    assert int(done.stdout) > 50, done.stderr


WRONG = {
    "SSL_CERT_FILE": ("/nowhere.pem", "cannot be read"),
    "SSL_CERT_DIR": ("/nowhere", "is not a folder"),
}


@pytest.mark.parametrize("variable", WRONG)
def test_a_named_place_that_is_not_there_is_an_error_that_names_its_variable(variable: str) -> None:
    value, what = WRONG[variable]
    with pytest.raises(UsageError, match=f"^{variable}: .*{what}"):
        trusted_roots({variable: value})
    with pytest.raises(UsageError, match=r"^X: .*holds no valid certificate"):
        trusted_roots({}, __file__, "X")


def test_what_is_not_a_certificate_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    authorities = [Authority(tmp_path / name) for name in ("one", "two")]
    folder = tmp_path / "folder"
    folder.mkdir()
    for authority, name in zip(authorities, ("a.pem", "b.pem"), strict=True):
        shutil.copy(authority.trust, folder / name)
    (folder / "a.0").symlink_to("a.pem")
    body = authorities[0].trust.read_text().splitlines()[1]
    (folder / "broken.pem").write_text(f"-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    (folder / "comment.pem").write_bytes("Größe\n".encode() + authorities[1].trust.read_bytes())
    roots = trusted_roots({"SSL_CERT_DIR": str(folder), "SSL_CERT_FILE": str(folder / "a.pem")})
    wanted = {ssl.PEM_cert_to_DER_cert(authority.trust.read_text()) for authority in authorities}
    assert set(client_context(roots).get_ca_certs(binary_form=True)) == wanted
    assert roots.count(b"BEGIN CERTIFICATE") == 2
