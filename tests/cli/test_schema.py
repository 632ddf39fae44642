"""`runner schema` gives editors what validation checks with."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.spec.schema import schema_texts

REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_schema_is_printed_as_it_would_be_written(say):
    assert say("schema", "strategy").out == schema_texts()["strategy.schema.json"]
    assert list(say("schema", "--json").json["schemas"]) == list(schema_texts())
    assert set(say("schema").json) == set(schema_texts())


def test_schemas_are_written_and_checked(say, project):
    said = say("schema", "--write")
    assert said.out == "".join(f"wrote schemas/{name}\n" for name in schema_texts())
    assert say("schema", "--check").code == 0
    (project / "schemas" / "runner.schema.json").write_text("{}")
    (project / "schemas" / "strategy.schema.json").unlink()
    said = say("schema", "--check")
    assert said.code == 1
    assert said.out == (
        "schemas/strategy.schema.json is not the schema of this version\n"
        "schemas/runner.schema.json is not the schema of this version\n"
    )
    stale = say("schema", "--check", "--json").json["stale"]
    assert stale == ["schemas/strategy.schema.json", "schemas/runner.schema.json"]
    assert say("schema", "strategy-base", "--check").code == 0
    assert say("schema", "--write", "elsewhere").out.startswith("wrote elsewhere/strategy.schema.json\n")
    assert say("schema", "--check", "elsewhere").code == 0


def test_the_committed_schemas_are_those_of_this_version(say, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    assert say("schema", "--check").code == 0


def test_schemas_that_cannot_be_written_are_a_refused_change(say, project):
    (project / "taken").write_text("")
    said = say("schema", "--write", "taken/below")
    assert (said.code, said.out) == (1, "")
    assert "the schemas cannot be written to taken/below" in said.err


@pytest.mark.parametrize("args", [["strategyy"], ["--write", "a", "--check", "b"]])
def test_wrong_usage_of_schema(say, args):
    assert say("schema", *args).code == 2
