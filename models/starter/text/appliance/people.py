"""What users are called."""

from __future__ import annotations

USER = "(user|person|colleague|student|member|client)"
SOMEONE = (
    f"(a user|a user|someone|somebody|a person|a colleague|a student|one {USER}|my colleague|alice|"
    "bob|a client)"
)
OF = f"(of a user|for a user|of a user|of someone|for someone|of one {USER}|of alice|of bob|)"
