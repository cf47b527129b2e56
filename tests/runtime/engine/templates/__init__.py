"""Tests of the room of chat templates."""
