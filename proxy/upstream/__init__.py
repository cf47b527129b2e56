"""proxy/upstream."""
