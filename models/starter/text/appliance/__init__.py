"""Questions about the appliance, in the usual wordings."""

from __future__ import annotations

from models.starter.text.appliance import console, keys, limits, models, properties, serving, users

TOPICS = (
    keys.TOPICS
    + users.TOPICS
    + limits.TOPICS
    + console.TOPICS
    + models.TOPICS
    + serving.TOPICS
    + properties.TOPICS
)
