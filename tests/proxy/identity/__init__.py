"""tests/proxy/identity."""
