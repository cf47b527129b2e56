"""tests/proxy/scheduling."""
