"""Files that keep a daemon running, one function for each kind of supervisor. The texts are templates."""

from __future__ import annotations

import plistlib
import shlex
from collections.abc import Iterable, Sequence
from importlib.resources import files

import msgspec

STATE = "otel-logtail"
"""The folder of the store under /var/lib. systemd creates it at each start, with the right owner and mode."""

_HOMES = ("/home", "/root", "/run/user")
_TEMPORARY = ("/tmp", "/var/tmp")  # noqa: S108 - a service has directories of its own there


class Daemon(msgspec.Struct, frozen=True, kw_only=True):
    """The command of a daemon, its user and group, and the directories that it needs.

    ``uses`` are the directories of the program itself. All paths are absolute.
    """

    command: tuple[str, ...]
    user: str = ""
    group: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    uses: tuple[str, ...] = ()


def _template(name: str) -> str:
    return files(__package__).joinpath(name).read_text()


def hex_stanza(command: Sequence[str]) -> str:
    """Return the entry for hex's ``engine-workers.yaml`` that makes its engine run a command, and restart it.

    The engine runs the line in a shell. ``exec`` replaces the shell with the command, so that signals reach it.
    """
    line = msgspec.json.encode("exec " + shlex.join(command)).decode()  # a JSON string is also a YAML string
    return _template("hex.yaml").format(command=line)


def systemd_unit(daemon: Daemon) -> str:
    """Return a unit for systemd 247 or newer that restarts the daemon after a failure and grants only what it needs."""
    every_path = (*daemon.reads, *daemon.writes, *daemon.uses)
    identity = [f"User={_specifiers(daemon.user)}"] if daemon.user else ["DynamicUser=yes"]
    if daemon.group:  # a dynamic user has a group of its own, and joins that of the log
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
    return _template("systemd.service").format(
        command=_exec_line(daemon.command),
        identity_and_paths="\n".join([*identity, *paths]),
        homes="read-only" if _any_under(every_path, _HOMES) else "yes",
    )


def launchd_plist(daemon: Daemon, home: str) -> str:
    """Return a property list for macOS's launchd: an agent of the current user or, with a user, a system daemon."""
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
    comment = f"""\
<!-- {where}/otel-logtail.plist, then: launchctl bootstrap {domain} {where}/otel-logtail.plist
     launchd restarts it after any exit code but 0, wrong options included. Its messages are in
     {_comment(logs)}/otel-logtail.log -->"""
    return "\n".join([head, doctype, comment, rest])


def _exec_line(command: Sequence[str]) -> str:
    """Return a command by systemd's rules (systemd.service(5), COMMAND LINES).

    Words that need no quotes get none. In the name of the program, systemd replaces no variables.
    """
    program, *words = command
    return " ".join([_word(program), *(_word(word.replace("$", "$$")) for word in words)])


def _word(text: str) -> str:
    plain = text and all(c.isascii() and (c.isalnum() or c in "_@%+=:,./*?$!-") for c in text)
    return _specifiers(text) if plain else f'"{_quoted(text)}"'


def _quoted(text: str) -> str:
    """Return the text between double quotes: with C's escapes, and without specifiers."""
    escapes = {"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r", "\t": "\\t"}
    return _specifiers("".join(escapes.get(c, c if c >= " " and c != "\x7f" else f"\\x{ord(c):02x}") for c in text))


def _specifiers(text: str) -> str:
    return text.replace("%", "%%")


def _comment(text: str) -> str:
    """Return text that is valid in an XML comment."""
    return text.replace("--", "- -")


def _any_under(paths: Iterable[str], folders: Iterable[str]) -> bool:
    return any(path == folder or path.startswith(f"{folder}/") for path in paths for folder in folders)
