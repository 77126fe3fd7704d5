"""The JSON Schema of the configuration: current, valid, and of the opinion of the program."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]  # comes with kubernetes-validate
import pytest

from otel_logtail.daemon.config import read_config
from otel_logtail.errors import UsageError
from tests.support.places import ROOT
from tools.config_schema import FILE, schema, text

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

EXAMPLES = sorted(path for folder in ("examples", "collector-config") for path in (ROOT / folder).rglob("*.toml"))
CONFIGURATIONS = [path for path in EXAMPLES if path.name != "pyproject.toml"]
SOURCE = '[source.a]\nobserver = "nginx"\n'
RIGHT = {
    "durations": f'retention = "none"\nexport_interval = "1m30s"\n{SOURCE}',
    "spaces and capitals": f'retention = " 1 D 12 h "\nmax_db_size = "1 gib"\n{SOURCE}',
    "numbers": f'max_series = 10\nhealth_port = "13143"\n{SOURCE}threshold_ms = 0.5\nstall_ms = 7\n',
    "a text of a number": f"{SOURCE}[exporter.jsonl]\nfile = 'a'\nkeep = '3'\nmax_size = 4096\n",
    "an option of an observer": f'{SOURCE}measure = "overhead"\nfrom_start = true\n',
    "an exporter without keys": f"{SOURCE}[exporter.console]\n",
    "words of an exporter": f'{SOURCE}[exporter.otlp]\nevents = "both"\nprotocol = "grpc"\n',
    "a duration of an exporter": f'{SOURCE}[exporter.hex]\nmax_age = "none"\n',
}
WRONG = {
    "an unknown key": f'retentoin = "30d"\n{SOURCE}',
    "an unknown key of a source": f"{SOURCE}treshold_ms = 5\n",
    "an unknown key of an exporter": f'{SOURCE}[exporter.otlp]\nendpiont = "http://localhost:4318"\n',
    "a key of another observer": f'{SOURCE}locks = "on"\n',
    "a flag's name": f'{SOURCE}[exporter.otlp]\notlp_endpoint = "http://localhost:4318"\n',
    "no source": 'retention = "30d"\n',
    "a source without observer": '[source.a]\npaths = ["a.log"]\n',
    "a text for a list": f'{SOURCE}paths = "a.log"\n',
    "an empty path": f'{SOURCE}paths = [""]\n',
    "a number for a text": f"{SOURCE}event = 5\n",
    "a text for a number": f'{SOURCE}threshold_ms = "500"\n',
    "a text for true": f'{SOURCE}from_start = "true"\n',
    "a number for a duration": f"retention = 30\n{SOURCE}",
    "a duration without a unit": f'retention = "30"\n{SOURCE}',
    "a duration with an unknown unit": f'retention = "30 months"\n{SOURCE}',
    "an interval that is none": f'export_interval = "none"\n{SOURCE}',
    "a size with an unknown unit": f'max_db_size = "1 XB"\n{SOURCE}',
    "a number out of range": f"health_port = 70000\n{SOURCE}",
    "milliseconds out of range": f"{SOURCE}quiet_ms = 1\n",
    "an unknown word": f'{SOURCE}framing = "json"\n',
    "an unknown word of an observer": f'{SOURCE}measure = "most"\n',
    "an exporter that is a list": f'exporter = ["otlp"]\n{SOURCE}',
}


def errors(content: str) -> list[str]:
    found = jsonschema.Draft7Validator(schema()).iter_errors(tomllib.loads(content))
    return [error.message for error in found]


def test_the_file_has_the_options_of_now() -> None:
    assert FILE.read_text() == text(), "run: python -m tools.config_schema"


def test_it_is_a_valid_schema() -> None:
    jsonschema.Draft7Validator.check_schema(schema())


def test_the_example_names_it_for_editors() -> None:
    example = ROOT / "examples" / "otel-logtail.toml"
    first = example.read_text().splitlines()[0]
    assert first.startswith("#:schema ")
    assert (example.parent / first.removeprefix("#:schema ")).resolve() == FILE


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_an_example_is_valid(path: Path) -> None:
    assert errors(path.read_text()) == []


@pytest.mark.parametrize("path", CONFIGURATIONS, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_key_that_an_example_offers_as_a_comment_is_valid(path: Path) -> None:
    offered = re.sub(r"^# (\[[\w.-]+\]$|\w+ = )", r"\1", path.read_text(), flags=re.MULTILINE)
    assert errors(offered) == []


@pytest.mark.parametrize("content", RIGHT.values(), ids=RIGHT)
def test_what_the_program_accepts_is_valid(content: str, tmp_path: Path) -> None:
    file = tmp_path / "right.toml"
    file.write_text(content)
    read_config(file, {}, "/home/me")
    assert errors(content) == []


@pytest.mark.parametrize("content", WRONG.values(), ids=WRONG)
def test_what_the_program_refuses_is_an_error(content: str, tmp_path: Path) -> None:
    file = tmp_path / "wrong.toml"
    file.write_text(content)
    with pytest.raises(UsageError):
        read_config(file, {}, "/home/me")
    assert errors(content) != []


def test_plug_ins_of_other_packages_have_any_key() -> None:
    assert errors('[source.a]\nobserver = "./acme.py:Acme"\nlimit = 5\n[exporter.acme]\nurl = "x"\n') == []
