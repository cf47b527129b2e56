"""Tests of runtime/chat/."""
