"""JSON Schema of runner.yaml: what a deployment says about itself. Reference: docs/spec.md."""

from __future__ import annotations

from typing import Any

from runner.model.annotations import Direction, Loosening
from runner.spec.fields import DIALECT, Schema, annotated, choice, marks, text

_PATH = r"^[^\x00-\x1f]+$"
_ACCOUNT = r"^[A-Za-z0-9]{2,20}$"
_DAY = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$"
_PROCESS = marks("process", "handover")
_LIVE = marks("live", "none")


def runner_schema() -> Schema:
    """The schema of runner.yaml. Every key is optional; without the file the embedded paper gateway is used."""
    whole = _object(
        "What a deployment says about itself: gateway, store, folders.",
        {
            "ib": _mapping("The connection to TWS or IB Gateway.", _ib()),
            "gateway": _mapping("The embedded paper gateway.", _gateway()),
            "arctic": _mapping(
                "The ArcticDB store.",
                {
                    "uri": _text(
                        "ArcticDB URI; an LMDB store in the state folder when not said.",
                        maximum=2000,
                        examples=["lmdb://data/arctic"],
                    )
                },
            ),
            "state_dir": _text("Folder of the journal, the lock and the control socket.", default=".runner"),
            "strategies_dir": _text("Folder of the strategy files.", default="strategies.d"),
            "strategies_python": _list(
                "Folders in which the `filename` of a hand-written strategy is looked up; the strategies folder when "
                "not said.",
                _text("A folder."),
                examples=[["python"]],
            ),
            "reload": _mapping(
                "How changed files are taken over while the runner runs.",
                {
                    "loosening": choice(
                        "What happens to a change that lets a strategy risk more: confirm holds it for `runner "
                        "approve`, auto applies it. When not said: confirm in mode live, else auto. A strategy's own "
                        "`reload.loosening` goes before it.",
                        [word.value for word in Loosening],
                        apply="live",
                        orders="none",
                        direction="first_is_tightest",
                    )
                },
                _LIVE,
            ),
            "watch": _mapping(
                "How changes of files are found.",
                {
                    "mode": choice(
                        "auto listens to the system and scans every few seconds all the same, and polls where the file "
                        "system does not tell; inotify listens also on file systems that others write to; poll only "
                        "scans.",
                        ["auto", "inotify", "poll"],
                        apply="live",
                        orders="none",
                        default="auto",
                    ),
                    "require_end_marker": {
                        "type": "boolean",
                        "default": False,
                        "description": "Whether a file counts only once its last line is `...`, YAML's own end mark: "
                        "for slow copies and network file systems.",
                        "x-runner": _LIVE,
                    },
                },
                _LIVE,
            ),
            "portfolio": _mapping(
                "Limits over all strategies.",
                {
                    "max_total_weight": {
                        "type": "number",
                        "minimum": 0,
                        "maximum": 10,
                        "default": 1.0,
                        "description": "Largest sum of the target weights of all enabled strategies; `runner validate` "
                        "warns of more. 1 is the whole account, more is borrowed.",
                        "x-runner": marks("live", "none", "smaller_is_tighter", unit="fraction of account equity"),
                    }
                },
                _LIVE,
            ),
            "plugins": _mapping(
                "Code of your own.",
                {
                    "allow": _list(
                        "Python packages that hooks and blocks of one's own may come from.",
                        _text("A package.", pattern=r"^[A-Za-z_][A-Za-z0-9_]*$"),
                        "smaller_is_tighter",
                        examples=[["acme_hooks"]],
                    )
                },
            ),
        },
    )
    return annotated({"$schema": DIALECT, "title": "runner.yaml"} | whole)


def _ib() -> Schema:
    return {
        "host": _text("Host of TWS or IB Gateway.", default="127.0.0.1", pattern=r"^[A-Za-z0-9._:-]{1,253}$"),
        "port": _number(
            "Its API port: IB Gateway 4001 live, 4002 paper; TWS 7496 live, 7497 paper.",
            kind="integer",
            minimum=1,
            maximum=65535,
            examples=[4002],
        ),
        "account": _text(
            "The account to trade; needed when the login has several.", pattern=_ACCOUNT, examples=["DU1234567"]
        ),
        "mode": choice(
            "live allows accounts that are listed in live_accounts; paper refuses every other than paper accounts.",
            ["paper", "live"],
            apply="process",
            orders="handover",
            default="paper",
        ),
        "live_accounts": _list(
            "Live accounts that may be traded.",
            _text("An account.", pattern=_ACCOUNT),
            "smaller_is_tighter",
            examples=[["U1234567"]],
        ),
        "client_id_base": _number(
            "First client id for strategies; 0 is the runner's own.",
            kind="integer",
            minimum=1,
            maximum=999_999,
            default=1,
        ),
        "timeout_s": _number("Longest wait for an answer.", unit="seconds", minimum=1, maximum=120, default=10),
    }


def _gateway() -> Schema:
    return {
        "embedded": {
            "type": "boolean",
            "description": "Run the paper gateway inside the runner and trade there; true when ib.port is not said.",
            "examples": [True],
            "x-runner": _PROCESS,
        },
        "accounts": _list(
            "Its accounts.", _text("A paper account.", pattern=r"^DU[A-Z0-9]{1,14}$"), examples=[["DU1234567"]]
        ),
        "base_currency": _text("Base currency of its accounts.", pattern=r"^[A-Z]{3}$", examples=["USD"]),
        "cash": {
            "type": "object",
            "propertyNames": {"pattern": r"^[A-Z]{3}$"},
            "additionalProperties": {"type": ["number", "string"], "pattern": r"^[0-9]{1,15}([.][0-9]{1,4})?$"},
            "minProperties": 1,
            "description": "What each account holds at the very first start, per currency.",
            "examples": [{"USD": 250_000}],
            "x-runner": _PROCESS,
        },
        "data": _text("Folder of daily bars in place of the shipped ones.", examples=["bars"]),
        "start": _text("First session that is played, yyyy-mm-dd.", pattern=_DAY, examples=["2011-03-01"]),
        "end": _text("Last session that is played, yyyy-mm-dd.", pattern=_DAY, examples=["2013-02-28"]),
        "speed": {
            "type": ["number", "string"],
            "pattern": "^max$",
            "exclusiveMinimum": 0,
            "maximum": 1_000_000_000,
            "description": "Market seconds per second, or max: as fast as the strategies can follow.",
            "examples": [60],
            "x-runner": _PROCESS,
        },
        "step": choice(
            "How far its clock moves at a time.",
            ["day", "1s", "5s", "10s", "15s", "30s", "1m", "5m", "15m", "30m", "1h"],
            apply="process",
            orders="handover",
        ),
        "seed": _number(
            "Everything that it simulates is a function of this number.", kind="integer", minimum=0, examples=[7]
        ),
        "enforce_limits": {
            "type": "boolean",
            "description": "Whether IB's request limits and pacing are enforced.",
            "examples": [True],
            "x-runner": _PROCESS,
        },
    }


def _object(description: str, properties: Schema) -> Schema:
    return {"type": "object", "additionalProperties": False, "description": description, "properties": properties}


def _mapping(description: str, properties: Schema, kept: Schema = _PROCESS) -> Schema:
    return _object(description, properties) | {"x-runner": kept}


def _text(description: str, *, pattern: str = _PATH, maximum: int = 0, **more: Any) -> Schema:
    return text(description, apply="process", orders="handover", pattern=pattern, maximum=maximum, **more)


def _list(description: str, items: Schema, direction: Direction | None = None, **more: Any) -> Schema:
    return {
        "type": "array",
        "items": items,
        "maxItems": 100,
        "uniqueItems": True,
        "description": description,
        **more,
        "x-runner": marks("process", "handover", direction),
    }


def _number(description: str, *, kind: str = "number", unit: str = "", **limits: Any) -> Schema:
    return (
        {"type": kind, "description": description} | limits | {"x-runner": _PROCESS | ({"unit": unit} if unit else {})}
    )
