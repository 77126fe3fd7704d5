"""What a supervisor must be told to keep a daemon running: one function a kind of supervisor, a daemon in, text out."""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Iterable, Sequence

import msgspec

STATE = "otel-logtail"
"""The folder of the store where systemd makes it: under /var/lib, on every start, with the right owner and mode."""

_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - the service has others of its own there


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be kept running, as whom, and which folders it needs.

    ``uses`` are places of the program itself. All are absolute.
    """

    command: tuple[str, ...]
    user: str = ""
    group: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


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


def systemd_unit(daemon: Daemon) -> str:
    """A unit for systemd 247 or newer: starts it again when it fails, and lets it do what it must do and no more."""
    every_path = (*daemon.reads, *daemon.writes, *daemon.uses)
    identity = [f"User={_specifiers(daemon.user)}"] if daemon.user else ["DynamicUser=yes"]
    if daemon.group:  # a user that is made for the run has a group of its own, and joins the log's
        identity.append(f"{'Group' if daemon.user else 'SupplementaryGroups'}={_specifiers(daemon.group)}")
    elsewhere = [path for path in daemon.writes if not _any_under([path], [f"/var/lib/{STATE}"])]
    paths = [f'ReadOnlyPaths="-{_quoted(path)}"' for path in daemon.reads]
    paths += [f'ReadWritePaths="-{_quoted(path)}"' for path in elsewhere]
    paths += [
        f'{name}="-{_quoted(path.replace(":", chr(92) + ":"))}"'
        for name, wanted in (("BindReadOnlyPaths", (*daemon.reads, *daemon.uses)), ("BindPaths", elsewhere))
        for path in wanted
        if _any_under([path], _TEMPORARY)
    ]
    own_lines = "\n".join([*identity, *paths])
    return f"""\
# /etc/systemd/system/otel-logtail.service, then: systemctl daemon-reload && systemctl enable --now otel-logtail
# Ask the store: otel-logtail status --db /var/lib/{STATE}/otel-logtail.db (as root: it is its user's alone)
[Unit]
Description=otel-logtail: latency samples out of a log, into OpenTelemetry
# so that the network is still there while it delivers its last at a shutdown, and the clock is right from the start
After=network.target time-sync.target
# it may fail as often as it must: the log waits
StartLimitIntervalSec=0

[Service]
Type=notify
ExecStart={_exec_line(daemon.command)}
# variables such as OTEL_EXPORTER_OTLP_HEADERS, which is nobody else's business: mode 0600
EnvironmentFile=-/etc/otel-logtail.env
Restart=on-failure
RestartSec=5
# 2 is for what does not mend itself: a wrong option, a store that may not be opened
RestartPreventExitStatus=2
WatchdogSec=60
# a large store of an older version is brought up to date before it is ready; a full disk is waited for
TimeoutStartSec=infinity
TimeoutStopSec=30
{own_lines}
StateDirectory={STATE}
StateDirectoryMode=0700
UMask=0077
MemoryMax=256M
TasksMax=64

NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome={"read-only" if _any_under(every_path, _HOMES) else "yes"}
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""


def launchd_plist(daemon: Daemon, home: str) -> str:
    """A property list for macOS's launchd: an agent of the one who prints it, or with a user a daemon of the system."""
    where = "/Library/LaunchDaemons" if daemon.user else "~/Library/LaunchAgents"
    domain = "system" if daemon.user else "gui/$(id -u)"
    logs = "/Library/Logs" if daemon.user else f"{home}/Library/Logs"
    job: dict[str, object] = {
        "Label": "otel-logtail",
        "ProgramArguments": list(daemon.command),
        "RunAtLoad": True,
        "KeepAlive": {"SuccessfulExit": False},
        "ThrottleInterval": 10,
        "ExitTimeOut": 30,
        "Umask": 0o077,
        "StandardErrorPath": f"{logs}/otel-logtail.log",
    }
    if daemon.user:
        job["UserName"] = daemon.user
    if daemon.group:
        job["GroupName"] = daemon.group
    head, doctype, rest = plistlib.dumps(job, sort_keys=False).decode().split("\n", 2)
    said = f"""\
<!-- {where}/otel-logtail.plist, then: launchctl bootstrap {domain} {where}/otel-logtail.plist
     launchd starts it again whenever it ends with anything but 0, wrong use too: what it says is in
     {_comment(logs)}/otel-logtail.log -->"""
    return "\n".join([head, doctype, said, rest])


def _exec_line(command: Sequence[str]) -> str:
    """The command by systemd's rules (systemd.service(5), COMMAND LINES), each word as it is.

    Words that need no quotes get none. The program itself knows no variables: a ``$`` stands for itself in it.
    """
    program, *words = command
    return " ".join([_word(program), *(_word(word.replace("$", "$$")) for word in words)])


def _word(text: str) -> str:
    plain = text and all(c.isascii() and (c.isalnum() or c in "_@%+=:,./*?$!-") for c in text)
    return _specifiers(text) if plain else f'"{_quoted(text)}"'


def _quoted(text: str) -> str:
    """The inside of double quotes: C's escapes, and specifiers as themselves."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return _specifiers("".join(escapes.get(c, c if c >= " " and c != "\x7f" else f"\\x{ord(c):02x}") for c in text))


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _comment(text: str) -> str:
    """What may stand in an XML comment."""
    return text.replace("--", "- -")


def _any_under(paths: Iterable[str], folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for path in paths for folder in folders)
