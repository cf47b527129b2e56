"""proxy/edge."""
