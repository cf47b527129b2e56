"""A hostile mix: clients that hold, flood or waste what they can, beside ordinary users.

`with_key` and `without_key` have the attacks, one a function; `mix` runs them in a process of its own;
`ordinary` is the users beside it, and what they see. `tests/bench/hostile.py` measures,
`tests/test_hostile_mix.py` holds what must not happen.
"""
