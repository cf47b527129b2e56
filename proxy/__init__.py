"""The auth proxy in front of the model server: keys, windows, relay and request records."""
