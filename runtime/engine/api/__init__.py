"""runtime/engine/api."""
