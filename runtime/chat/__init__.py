"""A conversation with the model in the terminal: `./console.sh chat`."""
