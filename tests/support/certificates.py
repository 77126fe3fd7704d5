"""Certificates that tests make: an authority, what it signs, and what is wrong in each way that happens."""

from __future__ import annotations

import ssl
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import NamedTuple

import trustme

ENDED = datetime.now(timezone.utc) - timedelta(days=2)


class Pair(NamedTuple):
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path

    def context(self) -> ssl.SSLContext:
        """The certificate and key of a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """A certificate authority of its own; ``trust`` is the PEM file with its certificate."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._folder = folder
        self._authority = trustme.CA()
        self.trust = folder / "authority.pem"
        self._authority.cert_pem.write_to_path(str(self.trust))

    def issue(self, *names: str, ended: bool = False) -> Pair:
        """A certificate for these hosts (for this machine if none is named); an ``ended`` one was good until ENDED."""
        issued = self._authority.issue_cert(
            *(names or ("127.0.0.1",)),
            not_before=ENDED - timedelta(days=10) if ended else None,
            not_after=ENDED if ended else None,
        )
        number = len(list(self._folder.iterdir()))
        pair = Pair(self._folder / f"{number}-certificate.pem", self._folder / f"{number}-key.pem")
        issued.cert_chain_pems[0].write_to_path(str(pair.certificate))
        issued.private_key_pem.write_to_path(str(pair.key))
        return pair
