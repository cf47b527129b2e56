"""Knows model files: which GGUF files are models, how much memory they need, which one is served.

Owns the GGUF header, the estimate of memory, and the selection. Reads headers only. Leaves the engine's
settings to runtime/engine/, and downloads and lists for people to runtime/library/. Front door:
`selection`; `memory_need` for estimates.
"""
