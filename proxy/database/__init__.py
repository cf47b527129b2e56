"""proxy/database."""
