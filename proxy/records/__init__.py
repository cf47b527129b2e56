"""proxy/records."""
