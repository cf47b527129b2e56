"""tests/proxy/edge."""
