"""Tests of proxy/files/."""
