"""The starter model: the text it is trained on, how it is trained, and what it must answer."""
