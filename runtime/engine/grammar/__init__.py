"""The room of constraints: JSON schemas and grammars, compiled by llguidance in a process of its own.

Front door: `constraint.Constraints` (for one vocabulary) and `constraint.Constraint` (for one response).
"""
