"""The choice of the next token.

Owns samplers (`sampler`), what changes logits before they run (`logits`), and guesses of tokens that
the prompt suggests (`lookup`). Leaves to `grammar` which
tokens a constraint allows.

Front door: `sampler.Sampler`, `logits.LogitShaper`, `lookup.Lookup`.
"""
