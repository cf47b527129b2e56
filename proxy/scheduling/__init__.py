"""Whose turn it is at the engine.

Owns the queues (`turns`), the order of turns between users (`fair_queue`), which of several engines gets
a request (`backend_slots`, `conversations`), what is known of each (`backend_state`), and the watch for
one that is away or changes its number of slots (`engine_watch`). A turn ends when the handler calls
`leave` on the queue of its entry. Leaves to the handler what is done in a turn, to `ratelimit` whether a
user may send a request at all, and to `upstream` how the engine is reached.

Front door: `turns.Turns`, and the `fair_queue.QueueEntry` that its `enter` gives.
"""
