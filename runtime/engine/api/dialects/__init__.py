"""The room of the other APIs: turns requests of OpenAI's Responses API and of Anthropic's Messages API
into chat requests.

A dialect is a function from a body to a `ChatForm`: the same request to /v1/chat/completions, and the
shape of its response. Checks that the chat request gets anyway are left to it; errors name the dialect's
own fields. How responses are written is in `shapes/`. Front door: `preparation.DialectPreparation`.
"""
