"""proxy/scheduling."""
