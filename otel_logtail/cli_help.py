"""``--help`` in the sections that its options name, without rich: importing that takes longer than all the rest."""

from __future__ import annotations

from typing import Any

from typer.core import TyperGroup


class Sections(TyperGroup):
    """A command whose options stand under their ``rich_help_panel``, those without one under 'Options'."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write them, section by section, and then the commands."""
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
