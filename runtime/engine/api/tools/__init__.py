"""The room of tool calls: which functions a request offers, how the served model writes calls of them,
and what is made of what it has written.

`offer.py` reads the request. `table.py` has the syntaxes in which models write calls, `syntax.py` what a
syntax consists of. A syntax and an offer make the grammar that holds calls to the functions' schemas
(`grammar.py`) and the parser of calls (`parser.py`). Front door: `calls.Calls`.
"""
