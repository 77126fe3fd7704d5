"""What a supervisor must be told to keep a daemon running: one function a kind of supervisor, command in, text out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

import msgspec


def hex_stanza(command: Sequence[str]) -> str:
    """The entry for hex's ``engine-workers.yaml`` that has its engine run ``command`` and start it again when it ends.

    The engine hands the line to a shell, which lets the command take its place, so that signals reach it.
    """
    line = msgspec.json.encode("exec " + shlex.join(command)).decode()  # a JSON string is one in YAML too
    return f"""\
# For $HEX_DIR/.hex/iii/engine-workers.yaml; takes effect when the harness is started again.
# Some versions of hex keep only the last entry of a name: is there an iii-exec in the file already? Then look in the
# harness's log whether both were started.
workers:
  - name: iii-exec
    config:
      exec:
        - {line}
      restart:
        on_crash: true
        backoff_secs: 5
        max_backoff_secs: 60
"""
