"""tests/proxy/ratelimit."""
