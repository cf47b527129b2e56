"""The room that generates: many requests at once on one llama.cpp context.

Owns the scheduler and its one thread, slots, batches, sampling, saved prefixes and the text of
responses. Leaves to `api` what a request may ask for and what a response looks like, to `http` how it
reaches the client, to `grammar` what a response is held to.

Front door: `model.GuardedLlama` (a loaded model), `generation.Generation` (one response under way,
given to `scheduler.Scheduler.submit`) and `channel.Channel` (where its pieces arrive).
Which file answers which question: `decisions.py` whom to admit and how much prompt to read,
`waiting.py` who waits, `admission.py` what is in which slot, `steps.py` what a step evaluates,
`scheduler.py` what happens in which order, `slots.py` what a sequence of tokens is.
"""
