"""The room of constraints: JSON schemas and grammars, compiled by llguidance in a process of its own.

Front door: `constraint.Constraints` (for one vocabulary) and `constraint.Constraint` (for one response).
Which file answers which question: `tidying.py`, `exact_forms.py` and `patterns.py` how a schema is
written for llguidance, `forms.py` and `sources.py` what is wrong with it before that, `sandbox.py` and
`compiler.py` whether it compiles, `relaxing.py` and `relaxations.py` what is left out of it if not,
`refusals.py` what the client is told.
"""
