"""Chat templates for models of random weights, in the form of families that people use."""

from __future__ import annotations

HERMES_TEMPLATE = (
    "{% if tools %}{{ '<|system|>\n' }}{% for tool in tools %}{{ tool | tojson }}{{ '\n' }}{% endfor %}"
    '{{ \'<tool_call>\n{"name": …, "arguments": …}\n</tool_call>\n\' }}{% endif %}'
    "{% for message in messages %}{{ '<|' + message.role + '|>\n' }}"
    "{% if message.reasoning_content %}"
    "{{ '<think>' + message.reasoning_content + '</think>' }}{% endif %}"
    "{{ message.content or '' }}"
    '{% for call in message.tool_calls or [] %}{{ \'\n<tool_call>\n{"name": "\' + call.function.name '
    "+ '\", \"arguments\": ' + (call.function.arguments | tojson) + '}\n</tool_call>' }}{% endfor %}"
    "{{ '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}"
    "{% if enable_thinking %}{{ '<think>\n' }}{% endif %}{% endif %}"
)
HERMES_MARKS = ("<tool_call>", "</tool_call>", "<think>", "</think>")
"""Of the template. As special tokens they are never drawn by themselves."""
