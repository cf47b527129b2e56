"""Runs real clients, unmodified, against a real appliance: `python -m tests.clients`."""
