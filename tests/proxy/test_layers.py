"""The imports point one way."""

from __future__ import annotations

import ast
from pathlib import Path

import proxy

LAYERS = [
    {"__main__", "admin"},
    {"server"},
    {"app", "acceptor"},
    {"handler", "health"},
    {"exchange", "turns", "local_admission", "shared_admission"},
    {"auth", "admission", "relay", "request_log", "retention", "running", "stalls", "connection"},
    {"loader", "backlog", "refusals", "access_log", "engine_watch"},
    {"answer", "audit", "users", "reports", "db", "spool", "record", "principal", "gate"}
    | {"windows", "body", "connections", "framing", "upstream"},
    {"usage", "paths", "limits", "upstream_connection", "request"},
    {"config", "errors", "keys", "ids", "logs", "auth_failures", "client_address", "upstream_parser"}
    | {"writes", "timestamps", "edge_limits"},
]
PACKAGE = Path(proxy.__file__).parent


def test_no_module_imports_from_its_own_layer_or_one_above() -> None:
    """Entry points → app → handler → {turns, …} → {auth, relay, …} → {users, db, …} → {config, …}."""
    level = {name: number for number, names in enumerate(LAYERS) for name in names}
    wrong = []
    for path in PACKAGE.rglob("*.py"):
        module = path.relative_to(PACKAGE).with_suffix("").parts[0]
        if module == "__init__":
            continue
        assert module in level, f"{path.name}: give it a layer here"
        for node in ast.walk(ast.parse(path.read_text())):
            for imported in _proxy_modules(node):
                if level[imported] <= level[module] and imported != module:
                    wrong.append(f"{module} imports {imported}")
    assert wrong == []


def _proxy_modules(node: ast.AST) -> list[str]:
    names: list[str] = []
    if isinstance(node, ast.ImportFrom) and node.module == "proxy":
        names = [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("proxy."):
        names = [str(node.module).split(".")[1]]
    elif isinstance(node, ast.Import):
        names = [a.name.split(".")[1] for a in node.names if a.name.startswith("proxy.")]
    return names
