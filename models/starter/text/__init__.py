"""The training text, generated: questions in many wordings, and the answers to them."""
