"""Tests of proxy/ratelimit/."""
