"""tests/proxy/upstream."""
