"""Tests of proxy/identity/authentication/."""
