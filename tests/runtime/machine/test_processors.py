"""The number of usable cores: physical cores, affinity and the quotas of control groups."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.machine import processors
from runtime.machine.processors import cores_in, quota, usable_cores


def test_hyper_threads_are_not_counted_as_cores() -> None:
    """Four processors on two cores count as two; an affinity limits them."""
    cpuinfo = "\n\n".join(
        f"processor\t: {number}\nmodel name\t: CPU: x\nphysical id\t: 0\ncore id\t\t: {number % 2}"
        for number in range(4)
    )

    assert cores_in(cpuinfo, {0, 1, 2, 3}) == 2
    assert cores_in(cpuinfo, {0, 2}) == 1
    assert cores_in("processor\t: 0\nBogoMIPS\t: 50", {0}) == 0


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="Linux only")
def test_an_affinity_is_heeded() -> None:
    """A process that may run on one processor has one core."""
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert usable_cores() == 1
    finally:
        os.sched_setaffinity(0, allowed)


@pytest.mark.parametrize(
    ("limit", "parent", "expected"),
    [
        ("max 100000", None, None),
        ("150000 100000", None, 1.5),
        ("400000 100000", "100000 100000", 1.0),
        ("max 100000", "50000 100000", 0.5),
    ],
)
def test_the_least_quota_of_a_group_and_those_above_it(
    tmp_path: Path, limit: str, parent: str | None, expected: float | None
) -> None:
    """Control groups of version 2: cpu.max contains limit and period."""
    group = tmp_path / "system.slice/ours.service"
    group.mkdir(parents=True)
    (group / "cpu.max").write_text(limit + "\n")
    if parent:
        (group.parent / "cpu.max").write_text(parent + "\n")
    membership = tmp_path / "cgroup"
    membership.write_text("0::/system.slice/ours.service\n")
    assert quota(tmp_path, membership) == expected


def test_a_quota_of_version_1(tmp_path: Path) -> None:
    """Limit and period are two files in the directory of the controller; -1 is no limit."""
    group = tmp_path / "cpu,cpuacct/docker/1"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("250000\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    membership = tmp_path / "cgroup"
    membership.write_text("3:memory:/docker/1\n2:cpu,cpuacct:/docker/1\n")
    assert quota(tmp_path, membership) == 2.5
    (group / "cpu.cfs_quota_us").write_text("-1\n")
    assert quota(tmp_path, membership) is None


@pytest.mark.parametrize(("share", "cores"), [(None, 4), (2.9, 2), (0.5, 1), (64.0, 4)])
def test_a_quota_rounds_down_to_whole_cores(
    monkeypatch: pytest.MonkeyPatch, share: float | None, cores: int
) -> None:
    """A throttled thread would delay the others; at least one core is used."""
    monkeypatch.setattr(processors, "physical_cores", lambda: 4)
    monkeypatch.setattr(processors, "quota", lambda: share)
    assert usable_cores() == cores
