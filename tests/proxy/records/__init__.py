"""tests/proxy/records."""
