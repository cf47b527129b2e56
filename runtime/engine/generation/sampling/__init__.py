"""The choice of the next token.

Owns samplers (`sampler`) and what changes logits before they run (`logits`). Leaves to `grammar` which
tokens a constraint allows.

Front door: `sampler.Sampler`, `logits.LogitShaper`.
"""
