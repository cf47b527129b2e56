"""The room of tool calls."""
