"""The room of response shapes: how the pieces of a response are written in each API's form, whole and as
the events of a stream.

A shape knows nothing of how its pieces came about. Front door: `shape.Shape`, and one
module for each API.
"""
