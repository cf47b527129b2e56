"""Tests of proxy/edge/."""
