"""runtime/library."""
