"""Tests of proxy/scheduling/."""
