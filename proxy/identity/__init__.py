"""proxy/identity."""
