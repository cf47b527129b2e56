"""Questions about the appliance, as people tell what has happened to them."""

from __future__ import annotations

from models.starter.text.situations import console, keys, serving, upkeep, users

TOPICS = keys.TOPICS + users.TOPICS + console.TOPICS + upkeep.TOPICS + serving.TOPICS
