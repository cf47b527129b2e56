"""Tests of proxy/identity/."""
