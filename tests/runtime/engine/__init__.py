"""The engine: what the stock server does wrong, and what ours does right."""
