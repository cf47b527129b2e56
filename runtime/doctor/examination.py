"""Runs all checks and prints their findings as text or JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from runtime.config import ROOT, Config, ConfigError, load
from runtime.doctor import configuration, database, installation, machine, model, services
from runtime.doctor.findings import Check, Finding, Installation, problem

CHECKS: tuple[tuple[str, str, Check, bool], ...] = (
    ("installation", "python", installation.python, False),
    ("installation", "packages", installation.packages, False),
    ("installation", "engine", installation.engine, False),
    ("installation", "gpu", installation.gpu, False),
    ("configuration", "keys", configuration.keys, False),
    ("configuration", "addresses", configuration.addresses, True),
    ("configuration", "certificate", configuration.certificate, True),
    ("configuration", "permissions", configuration.permissions, False),
    ("machine", "disk", machine.disk, False),
    ("machine", "open_files", machine.open_files, False),
    ("machine", "spool", machine.spool, True),
    ("machine", "clock", machine.clock, False),
    ("model", "files", model.files, False),
    ("model", "chosen", model.chosen, True),
    ("service", "ports", services.addresses, True),
    ("service", "processes", services.processes, True),
    ("service", "ready", services.ready, True),
    ("service", "engines", services.engines, True),
    ("service", "database", database.state, True),
)
"""Group, name, function, and True if the check needs a valid configuration."""

Row = tuple[str, str, Finding]


def examine(checkout: Installation) -> list[Row]:
    """All findings with their group and check. A check that raises an exception is a problem, too."""
    rows: list[Row] = []
    for group, name, check, needs_config in CHECKS:
        if needs_config and checkout.config is None:
            continue
        try:
            rows += [(group, name, finding) for finding in check(checkout)]
        except Exception as error:
            reason = (str(error).splitlines() or [""])[0]
            text = f"cannot be examined ({type(error).__name__}: {reason})"
            rows.append((group, name, problem(text)))
    return rows


def as_json(rows: list[Row]) -> str:
    """JSON in the form that `./console.sh help doctor` documents."""
    findings = [
        {"group": group, "check": name, "level": f.level, "text": f.text, "remedy": f.remedy or None}
        for group, name, f in rows
    ]
    return json.dumps({"ok": _is_well(rows), "findings": findings}, indent=2, ensure_ascii=False)


def as_text(rows: list[Row]) -> str:
    """A heading for each group, a line for each finding, and below it how to fix it."""
    lines: list[str] = []
    last = ""
    for group, _, finding in rows:
        if group != last:
            lines += [*([""] if lines else []), group]
            last = group
        lines.append(f"  {finding.level:<8} {finding.text}")
        if finding.remedy:
            lines.append(f"{'':11}→ {finding.remedy}")
    return "\n".join([*lines, "", _verdict(rows)])


def _verdict(rows: list[Row]) -> str:
    counts = {
        level: sum(f.level == level for _, _, f in rows) for level in ("problem", "warning", "note")
    }
    found = [f"{count} {level}{'s' * (count > 1)}" for level, count in counts.items() if count]
    return ", ".join(found) if found else "All is well."


def _is_well(rows: list[Row]) -> bool:
    return all(finding.level != "problem" for _, _, finding in rows)


def _print(text: str) -> None:
    """Write the text in any locale. A reader that has closed the pipe is not a fault."""
    try:
        sys.stdout.buffer.write(text.encode(sys.stdout.encoding, "replace") + b"\n")
        sys.stdout.flush()
    except BrokenPipeError:
        # Python flushes stdout again at its end, which must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def main(arguments: list[str]) -> int:
    """Examine this checkout. Returns 0 without problems, 1 with problems, 2 for wrong usage."""
    if arguments not in ([], ["--json"]):
        print("usage: ./console.sh doctor [--json]", file=sys.stderr)
        return 2
    config: Config | None = None
    problems: list[str] = []
    try:
        config = load()
    except ConfigError as error:
        problems = error.problems
    control = os.environ.get("LLAMASERVE_CONTROL", "")
    checkout = Installation(
        root=ROOT,
        config=config,
        config_problems=tuple(problems),
        control=control,
        programs=services.programs(control),
        venv=Path(sys.prefix),
    )
    rows = examine(checkout)
    _print(as_json(rows) if arguments else as_text(rows))
    return 0 if _is_well(rows) else 1
