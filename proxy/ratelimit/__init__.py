"""proxy/ratelimit."""
