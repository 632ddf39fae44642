"""What changes from one runner.yaml to the next, setting by setting, and whether the running runner can take it over.

A setting's class and direction are what `runner.spec.config_schema` declares of it, as for the fields of a strategy.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from functools import cache
from typing import Any

from runner.spec.changes import FieldChange, judged_by
from runner.spec.config import RunnerConfig
from runner.spec.config_schema import runner_schema
from runner.spec.fields import Schema


def effective_config(config: RunnerConfig) -> dict[str, Any]:
    """Every setting that the runner works with, by dotted path; what comes from the environment is in it as well."""
    ib, gateway = config.ib, config.gateway
    found: dict[str, Any] = {f"ib.{item.name}": getattr(ib, item.name) for item in fields(ib) if item.name != "origin"}
    found |= {f"gateway.{item.name}": getattr(gateway, item.name) for item in fields(gateway)}
    return found | {
        "arctic.uri": config.arctic_uri,
        "state_dir": config.state_dir,
        "strategies_dir": config.strategies_dir,
        "strategies_python": config.strategies_python,
        "reload.loosening": config.loosening.value,
        "watch.mode": config.watch_mode,
        "watch.require_end_marker": config.require_end_marker,
        "portfolio.max_total_weight": config.max_total_weight,
        "plugins.allow": config.plugins_allow,
    }


def config_changes(old: RunnerConfig, new: RunnerConfig) -> tuple[FieldChange, ...]:
    """The settings that differ. Values of class `process` may be secrets: name their paths, and do not show them."""
    before, after = effective_config(old), effective_config(new)
    found = []
    for path, value in after.items():
        if before[path] != value:
            apply, direction = judged_by(config_fields()[path], before[path], value)
            found.append(FieldChange(path=path, old=before[path], new=value, apply=apply, direction=direction))
    return tuple(found)


@cache
def config_fields() -> Mapping[str, Schema]:
    """Dotted path → schema, of every setting of runner.yaml."""
    found: dict[str, Schema] = {}
    for name, section in runner_schema()["properties"].items():
        below = section.get("properties")
        found |= {name: section} if below is None else {f"{name}.{key}": field for key, field in below.items()}
    return found
