"""The room of marks in a response's raw text: thinking, calls, and what is left out.

`markup.py` says what the marks of a response are, `guide.py` follows them token by token.
"""
