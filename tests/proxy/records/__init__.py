"""Tests of proxy/records/."""
