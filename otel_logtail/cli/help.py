"""The main command: its ``--help`` in sections, and its options before the name of another command.

The help is printed without rich, because the import of rich takes longer than the rest of the program.
"""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup

from otel_logtail.cli.given import moved

_BEFORE = "otel_logtail.before"


class Sections(TyperGroup):
    """A command whose help has a section per ``rich_help_panel``, and 'Options' for the other options."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options, section by section, and then the commands."""
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                sections.setdefault(getattr(parameter, "rich_help_panel", None) or "Options", []).append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)
        self.format_commands(ctx, formatter)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the options, and keep the words of the user."""
        words = list(args)
        after = super().parse_args(ctx, args)
        protected = getattr(ctx, "_protected_args", [])  # the name of the next command
        ctx.meta[_BEFORE] = words[: len(words) - len(protected) - len(ctx.args)]
        return after

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the next command, its name and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        if name is None or command is None:
            return name, command, rest
        return name, command, moved(ctx, ctx.meta[_BEFORE], name, command, rest)
