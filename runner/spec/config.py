"""runner.yaml: where the gateway, the store and the strategies are. Optional; without it everything is embedded.

Precedence for host, port and account: `RUNNER_IB_HOST`, `RUNNER_IB_PORT`, `RUNNER_IB_ACCOUNT` of the environment, then
the file, then `IB_…`, then `IBKR_…`, then the defaults. Only here may values come from elsewhere: a scalar that is
exactly `${env:NAME}`, `${env:NAME:-default}` or `${file:/path}` is replaced and then read as if it had been written.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal, TypeAlias

from runner.errors import ConfigError
from runner.model.annotations import Loosening
from runner.spec.load import Document, Entry, Node, parse_bytes, read_document, resolve_plain
from runner.spec.problems import KeyPath, Problem, Span, error, in_order, whole_file
from runner.spec.render import render_text

CONFIG_NAME = "runner.yaml"
MAX_SECRET_BYTES = 4096
Mode: TypeAlias = Literal["paper", "live"]

_PLACEHOLDER = re.compile(r"\$\{(env|file):([^}]*)\}\Z")
_ENV_NAME = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?\Z", re.DOTALL)
_PREFIXES = ("RUNNER_IB_", "IB_", "IBKR_")


class ConfigFileError(ConfigError):
    """runner.yaml is wrong. `problems` are all of them, `text` shows them with their lines."""

    def __init__(self, problems: Sequence[Problem], sources: Mapping[str, str]) -> None:
        self.problems = tuple(problems)
        self.sources = dict(sources)
        self.text = render_text(self.problems, self.sources).rstrip()
        count = len(self.problems)
        what = "a problem" if count == 1 else f"{count} problems"
        super().__init__(f"{self.problems[0].file} has {what}\n\n{self.text}\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class IBConfig:
    """The connection. `port` is None when nobody named one: then the embedded gateway has its own."""

    host: str = "127.0.0.1"
    port: int | None = None
    account: str = ""
    mode: Mode = "paper"
    live_accounts: tuple[str, ...] = ()
    client_id_base: int = 1
    timeout_s: float = 10.0
    origin: Mapping[str, str] = field(default_factory=dict)
    """Where host, port and account come from, for messages: `runner.yaml:3`, `environment variable IB_PORT`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayConfig:
    """The embedded paper gateway. None: the gateway's own default."""

    embedded: bool = True
    accounts: tuple[str, ...] | None = None
    base_currency: str | None = None
    cash: Mapping[str, Decimal] | None = None
    data: Path | None = None
    start: date | None = None
    end: date | None = None
    speed: float | Literal["max"] | None = None
    step: str | None = None
    seed: int | None = None
    enforce_limits: bool | None = None

    def said(self) -> dict[str, Any]:
        """What the file says, under the names of `GatewaySettings`."""
        names = [item.name for item in fields(self) if item.name != "embedded"]
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class RunnerConfig:
    """A deployment. Paths are absolute; relative ones in the file are relative to the file's folder."""

    file: Path | None = None
    """The file that was read; None when there was none."""
    ib: IBConfig = field(default_factory=IBConfig)
    gateway: GatewayConfig = field(default_factory=GatewayConfig)
    arctic_uri: str | None = None
    """None: an LMDB store under `state_dir`."""
    state_dir: Path
    strategies_dir: Path
    strategies_python: tuple[Path, ...]
    plugins_allow: tuple[str, ...] = ()
    max_total_weight: float = 1.0
    loosening: Loosening = Loosening.AUTO
    watch_mode: Literal["auto", "inotify", "poll"] = "auto"
    require_end_marker: bool = False
    root: Node | None = field(default=None, repr=False, compare=False)
    """The file as it was read, for the places of problems; None when there was none."""
    source: str = field(default="", repr=False, compare=False)
    """The text of the file."""

    @property
    def shown(self) -> str:
        """What the file is called in messages, also when there is none."""
        return CONFIG_NAME if self.root is None else self.root.span.file

    def locate(self, path: KeyPath) -> Span:
        """Where the value at `path` is written, or the nearest key above it; the top of the file without any."""
        return whole_file(self.shown) if self.root is None else self.root.locate(path)

    @property
    def store_uri(self) -> str:
        """Where ArcticDB is."""
        return self.arctic_uri or f"lmdb://{self.state_dir / 'arctic'}"


def load_config(path: Path | None, root: Path, *, env: Mapping[str, str] | None = None) -> RunnerConfig:
    """Read runner.yaml: `path`, or `root`/runner.yaml when that exists, or nothing and the defaults.

    `root` is the folder that the defaults are relative to. Raises ConfigFileError with every problem of the file, and
    ConfigError for a named file that is not there or an environment variable that cannot be used.
    """
    env = os.environ if env is None else env
    root = root.absolute()
    file = path if path is not None else root / CONFIG_NAME
    if not file.exists():
        if path is not None:
            raise ConfigError(f"there is no file {path}", hint="name an existing runner.yaml, or leave --config out")
        return _config({}, None, root, env, {})
    return _judged(read_document(file, file=_shown(file, root)), file.absolute(), env)


def read_state_dir(path: Path | None, root: Path) -> Path:
    """The folder of the state that a runner.yaml with mistakes names, where that can still be made out; else the
    default. The file is there."""
    file = (path if path is not None else root / CONFIG_NAME).absolute()
    document = read_document(file)
    node = None if document.root is None else document.root.find(("state_dir",))
    named = node.value if node is not None and isinstance(node.value, str) and "${" not in node.value else ".runner"
    return Path(os.path.normpath(file.parent / named))


def read_config(content: bytes, file: Path, *, shown: str, env: Mapping[str, str] | None = None) -> RunnerConfig:
    """What a content of runner.yaml says. Paths in it are relative to the folder of `file`, which is not read; messages
    call it `shown`. Raises as `load_config` does."""
    env = os.environ if env is None else env
    return _judged(parse_bytes(content, file=shown), file.absolute(), env)


def _judged(document: Document, file: Path, env: Mapping[str, str]) -> RunnerConfig:
    problems = list(document.problems)
    node: Node | None = None
    if document.root is not None:
        replaced: dict[Span, str] = {}
        node = _substitute(document.root, (), env, file.parent, problems, replaced)
        node, wrong = _judge(node)
        explained = {problem.span for problem in problems}
        problems += [_discreet(problem, replaced) for problem in wrong if problem.span not in explained]
    if node is None or any(problem.is_error for problem in problems):
        raise ConfigFileError(in_order(problems), {document.file: document.text})
    origin = _origin(node, document)
    config = _config(node.data(), file, file.parent, env, origin)
    config = replace(config, root=node, source=document.text)
    problems += _rules(node, config)
    if any(problem.is_error for problem in problems):
        raise ConfigFileError(in_order(problems), {document.file: document.text})
    return config


def _shown(file: Path, root: Path) -> str:
    absolute = file.absolute()
    return absolute.relative_to(root).as_posix() if absolute.is_relative_to(root) else file.as_posix()


def _discreet(problem: Problem, replaced: Mapping[Span, str]) -> Problem:
    """The problem without the value, when that came from elsewhere: it may be a secret."""
    if problem.span not in replaced:
        return problem
    message = f"{problem.path} cannot be what {replaced[problem.span]} stands for"
    return replace(problem, message=message, hint="")


def _judge(node: Node) -> tuple[Node, list[Problem]]:
    # jsonschema takes a tenth of a second to import: only when there is a file to judge.
    from runner.spec.check import Checker
    from runner.spec.config_schema import runner_schema

    return Checker(runner_schema()).check(node)


def _substitute(
    node: Node,
    path: KeyPath,
    env: Mapping[str, str],
    folder: Path,
    problems: list[Problem],
    replaced: dict[Span, str],
) -> Node:
    """`node` with the placeholders of its scalars replaced; each is at its old place."""
    value = node.value
    if isinstance(value, dict):
        entries = {
            key: Entry(entry.key, _substitute(entry.node, (*path, key), env, folder, problems, replaced))
            for key, entry in value.items()
        }
        return Node(entries, node.span, size=node.size)
    if isinstance(value, list):
        items = [_substitute(item, (*path, i), env, folder, problems, replaced) for i, item in enumerate(value)]
        return Node(items, node.span, size=node.size)
    if not isinstance(value, str) or "${" not in value:
        return node
    try:
        text = _lookup(value, env, folder)
        replaced[node.span] = value
        return Node(resolve_plain(text), node.span, text, plain=True, alone=False)
    except ConfigError as exc:
        problems.append(error("E603", exc.message, node.span, path=path, hint=exc.hint))
    except ValueError as exc:
        problems.append(error("Y108", f"{value}: {exc}", node.span, path=path))
    return Node(None, node.span)


def _lookup(value: str, env: Mapping[str, str], folder: Path) -> str:
    match = _PLACEHOLDER.match(value)
    if match is None:
        raise ConfigError("a placeholder must be the whole value", hint="write ${env:NAME} or ${file:/path} alone")
    if match[1] == "env":
        name = _ENV_NAME.match(match[2])
        if name is None:
            raise ConfigError(f"{value[:80]} does not name an environment variable", hint="write ${env:NAME}")
        default: str | None = name[2]
        found = env.get(name[1], default)
        if found is None:
            hint = f"set it, or write ${{env:{name[1]}:-default}}"
            raise ConfigError(f"the environment variable {name[1]} is not set", hint=hint)
        return found
    try:
        data = (folder / match[2]).read_bytes()
        if len(data) > MAX_SECRET_BYTES:
            raise ConfigError(f"the file {match[2]} is larger than {MAX_SECRET_BYTES} bytes")
        return data.decode("utf-8").strip()
    except (OSError, ValueError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else "it is not UTF-8 text"
        raise ConfigError(f"the file {match[2]} cannot be read: {reason.lower()}") from exc


def _origin(node: Node, document: Document) -> dict[str, str]:
    found = {}
    for name in ("host", "port", "account"):
        value = node.find(("ib", name))
        if value is not None:
            found[name] = f"{document.file}:{value.span.line}"
    return found


def _connection(said: Mapping[str, Any], env: Mapping[str, str], origin: dict[str, str]) -> dict[str, Any]:
    """Host, port and account by precedence; `origin` learns where each is from."""
    result: dict[str, Any] = {}
    for name in ("host", "port", "account"):
        order = [f"{prefix}{name.upper()}" for prefix in _PREFIXES]
        variable = order[0] if env.get(order[0]) else None
        if variable is None and name in said:
            result[name] = said[name]
            continue
        variable = variable or next((key for key in order[1:] if env.get(key)), None)
        if variable is not None:
            text = env[variable].strip()
            result[name] = _port(text, variable) if name == "port" else text
            origin[name] = f"environment variable {variable}"
    return result


def _port(text: str, variable: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= 65535):
        raise ConfigError(f"the environment variable {variable} is {text[:40]!r}", hint="a port from 1 to 65535")
    return int(text)


def _config(
    data: Mapping[str, Any], file: Path | None, folder: Path, env: Mapping[str, str], origin: dict[str, str]
) -> RunnerConfig:
    def at(text: str) -> Path:
        return Path(os.path.normpath(folder / text))

    ib: dict[str, Any] = dict(data.get("ib", {}))
    ib |= _connection(ib, env, origin)
    if "live_accounts" in ib:
        ib["live_accounts"] = tuple(ib["live_accounts"])
    if "timeout_s" in ib:
        ib["timeout_s"] = float(ib["timeout_s"])
    gateway: dict[str, Any] = dict(data.get("gateway", {}))
    gateway.setdefault("embedded", "port" not in ib)
    if "accounts" in gateway:
        gateway["accounts"] = tuple(gateway["accounts"])
    if "cash" in gateway:
        gateway["cash"] = {currency: Decimal(str(amount)) for currency, amount in gateway["cash"].items()}
    if "data" in gateway:
        gateway["data"] = at(gateway["data"])
    for name in ("start", "end"):
        if name in gateway:
            gateway[name] = _day(gateway[name])
    strategies = at(data.get("strategies_dir", "strategies.d"))
    by_mode = Loosening.CONFIRM if ib.get("mode") == "live" else Loosening.AUTO
    python = data.get("strategies_python")
    return RunnerConfig(
        file=file,
        ib=IBConfig(**ib, origin=origin),
        gateway=GatewayConfig(**gateway),
        arctic_uri=data.get("arctic", {}).get("uri"),
        state_dir=at(data.get("state_dir", ".runner")),
        strategies_dir=strategies,
        strategies_python=(strategies,) if python is None else tuple(at(text) for text in python),
        plugins_allow=tuple(data.get("plugins", {}).get("allow", ())),
        loosening=Loosening(data.get("reload", {}).get("loosening", by_mode)),
        watch_mode=data.get("watch", {}).get("mode", "auto"),
        require_end_marker=data.get("watch", {}).get("require_end_marker", False),
        max_total_weight=float(data.get("portfolio", {}).get("max_total_weight", 1.0)),
    )


def _day(text: str) -> date | None:
    """The date, or None for one that no calendar has; `_rules` reports it."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _rules(node: Node, config: RunnerConfig) -> list[Problem]:
    """What must hold between the keys."""
    problems: list[Problem] = []

    def report(code: str, path: KeyPath, message: str, hint: str) -> None:
        problems.append(error(code, message, node.locate(path), path=path, hint=hint))

    ib, gateway = config.ib, config.gateway
    if gateway.embedded and ib.port is not None and node.find(("gateway", "embedded")) is not None:
        hint = "set gateway.embedded: false, or leave the port out"
        message = f"gateway.embedded is true, but ib.port {ib.port} is set ({ib.origin.get('port', 'default')})"
        report("M450", ("gateway", "embedded"), message, hint)
    if not gateway.embedded and ib.port is None:
        message = "gateway.embedded is false, but no ib.port is set"
        report("M451", ("gateway", "embedded"), message, "add ib: {port: 4002}")
    if ib.mode == "live":
        if gateway.embedded:
            hint = "set ib.port to that of a live TWS or IB Gateway, or mode: paper"
            report("M452", ("ib", "mode"), "ib.mode is live, but the embedded gateway is a paper gateway", hint)
        if not ib.live_accounts:
            hint = "add live_accounts: [U1234567]"
            report("M453", ("ib", "mode"), "ib.mode is live, but no account is listed in ib.live_accounts", hint)
        elif ib.account and ib.account not in ib.live_accounts and not ib.account.startswith("D"):
            message = f"ib.account {ib.account} is not in ib.live_accounts"
            report("M453", ("ib", "account"), message, "add it there if it may be traded")
    for name in ("start", "end"):
        if node.find(("gateway", name)) is not None and getattr(gateway, name) is None:
            shown = node.find(("gateway", name))
            text = "" if shown is None else shown.raw
            report("M454", ("gateway", name), f'gateway.{name} "{text}" is no date', "write yyyy-mm-dd")
    if gateway.start and gateway.end and gateway.end < gateway.start:
        report("M454", ("gateway", "end"), "gateway.end is before gateway.start", "end on or after the start")
    return problems
