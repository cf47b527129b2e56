"""docs/grafana-dashboard.json asks for metrics that the proxy has, by labels that they have."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from prometheus_client.parser import text_string_to_metric_families

from proxy.metrics.exposition import Metrics
from runtime.config import ROOT
from tests.support.metrics import idle_metrics
from tests.support.records import record

DASHBOARD = ROOT / "docs" / "grafana-dashboard.json"
_NAME = re.compile(r"\b(?:llamaserve|process)_[a-z_]+")
_BY = re.compile(r"\bby \(([a-z, ]+)\)")


def expressions() -> Iterator[str]:
    for panel in json.loads(DASHBOARD.read_text())["panels"]:
        for target in panel["targets"]:
            yield target["expr"]


def exposed(metrics: Metrics) -> tuple[set[str], set[str]]:
    """The names of all samples, and of all labels."""
    samples = [
        sample for family in text_string_to_metric_families(metrics.text()) for sample in family.samples
    ]
    return {sample.name for sample in samples}, {name for sample in samples for name in sample.labels}


def test_every_metric_of_the_dashboard_exists() -> None:
    """Each name and each label that is grouped by is in a scrape after some requests."""
    metrics = idle_metrics()
    metrics.totals.add_all(
        [
            record(prompt_tokens=1, completion_tokens=1, latency_ms=1.0, queue_ms=1.0),
            record(stream=True, ttft_ms=1.0, error="client_left"),
            record(admitted=False, error="rate_limit_exceeded"),
        ]
    )
    names, labels = exposed(metrics)
    for expression in expressions():
        found = _NAME.findall(expression)
        assert found, expression
        assert set(found) <= names, expression
        grouped = {label.strip() for by in _BY.findall(expression) for label in by.split(",")}
        assert grouped <= labels, expression


def test_every_metric_of_ours_is_on_the_dashboard() -> None:
    """Only what is of use in an emergency alone is left out."""
    rare = {"llamaserve_backlog_records", "llamaserve_records_lost_total", "llamaserve_requests_open"}
    rare |= {"llamaserve_database_connections", "llamaserve_database_waiting"}
    shown = {name for expression in expressions() for name in _NAME.findall(expression)}
    families = text_string_to_metric_families(idle_metrics().text())
    ours = {re.sub("_total$", "", family.name) for family in families if family.name[:5] == "llama"}
    assert {name for name in ours if not any(one.startswith(name) for one in shown | rare)} == set()


def test_the_dashboard_has_what_grafana_needs() -> None:
    """Panels with numbers of their own that do not overlap, and a data source to choose."""
    dashboard = json.loads(DASHBOARD.read_text())
    assert dashboard["templating"]["list"][0]["type"] == "datasource"
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert all(panel["datasource"]["uid"] == "${datasource}" for panel in panels)
