"""Figures of a running proxy in Prometheus's text format.

Owns the sums of requests that have ended (`request_totals`), the state of the proxy's parts at the time
of a scrape (`gauges`), and the format (`exposition`). Leaves HTTP and who may read them to `operators`.

Front door: `exposition.Metrics`.
"""
