"""tests/proxy/database."""
