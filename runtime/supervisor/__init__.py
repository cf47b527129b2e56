"""runtime/supervisor."""
