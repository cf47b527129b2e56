"""runtime/machine."""
