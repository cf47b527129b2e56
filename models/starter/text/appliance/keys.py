"""Questions about new users and their keys."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.appliance.people import OF, SOMEONE, USER
from models.starter.text.wording import Topic

_NEW_USER = (
    f"(a|a|a new|another|a further|one more|my first|an additional|a second) "
    f"(user|user|user|user account|account|{USER}|login)"
)

TOPICS = (
    Topic(
        answers=answers.CREATE_USER,
        actions=(
            "(create|make|add|create|set up|register|open|get|define|generate|enrol|onboard) "
            f"{_NEW_USER}",
            "(create|make|add|register) (a user|users|accounts|new users|several users|user accounts|"
            "new accounts)",
            f"(add|register|enter) (someone|somebody|my friend|a {USER}|my {USER}|a new {USER}) "
            "as a (user|new user)",
            "(give|grant|offer) (someone|somebody|my friend|my student|a colleague|people|a new person) "
            "(access|an account|a key|an API key|a login)",
            "(get|create|make|issue|obtain|have) (a key|an API key|a user key|my own key|a key of my "
            "own|a new API key for "
            "someone|keys for users)",
            "(invite|let in|admit) (someone new|a new person|another person|my team)",
        ),
        questions=(
            "(account|key|access) for (my|a|the|our) (student|colleague|new student|guest|friend|class|"
            "team|boss), how",
            "how do I (hand out|give out|issue|get|assign) (a key|keys|access|an account) (to|for) (a "
            "student|students|people|my class|someone|others|a guest)",
            "need (a|an|another|one more) (new user|user|account|key|login)(, how| for someone|)",
            "(where|how) (can|do|does) (I|one|people|users|somebody) get (a|an|their|my|his own) "
            "(key|API key|token)",
            "(I|we) (need|want) (an account|a user|a key|an API key|a new user|a login|access) for "
            "(my|a|another) "
            "(friend|colleague|student|teacher|boss|team|team member|guest|intern|wife|neighbour|class)",
            "(someone|a friend|a colleague|my student|a new person) (wants|needs|should get) (access|"
            "an account|a key|a login)",
            "(new user|user creation|create user|creating users|add user|make user|new account|user "
            "setup|adduser|sign up)",
            "how (is|are|can|do) (a user|users|an account|accounts|new users) (created|made|added|be "
            "created|be made|get "
            "created|be set up)",
            "(what is|give me|tell me|show me) the command (for|to make|that makes|that creates|that "
            "adds) (a|a new) (user|account)",
            "how do (people|others|my users|my colleagues|new users) (get|gain) access",
            "the first user, how do I make (it|one|him|her)",
        ),
        weight=3,
    ),
    Topic(
        answers=answers.ROTATE_KEY,
        actions=(
            "(swap out|redo|re-create|reissue|regenerate|re-issue) (a key|the key|a user's key|the API "
            "key|the key of a user|alice's key|an API key)",
            "(rotate|replace|change|renew|swap|exchange|refresh|update) (a key|the key|a user's key|"
            f"an API key|keys) {OF}",
            "(rotate|replace|change|renew|exchange|swap) (someone's|alice's|bob's|my|his|her|their|"
            "the user's) (key|API key|keys)",
            f"(give|issue|make|get|print) {SOMEONE} (a new key|a fresh key|another key|a different key)",
            "(put|set) a (new|fresh) key in (the|its) place (of an old one|of the old key|)",
            "(swap|exchange|replace) (the|an|a user's) old key (for|with|by) a (new|fresh) one",
            "(get|make|create) a (replacement|new one) for (a key|an old key|the old key|a user's key)",
        ),
        questions=(
            "(key rotation|rotate key|rotating keys|new key for a user|rotate|replace key|change key)",
            "how (is|can|are) (a key|keys|the key) (be rotated|rotated|replaced|be replaced|renewed|"
            "be changed|exchanged)",
            "(a|the|my|his) key (should|must|has to) be (rotated|replaced|changed|renewed|exchanged)",
            "(can|how long can) the old key (work|go on|live on|be used) (for a while|for some time|"
            ") (after a rotation|when "
            "I rotate it|after rotating)",
            "what (does|is) (the grace|--grace|the grace period|grace) (mean|do|for|)",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.LOST_KEY,
        questions=(
            "(bob|alice|a user|someone|my student|the user|one of them|my colleague|I|he|she) (does "
            "not|doesn't|cannot|can't|could not|no longer can) (remember|know|find|recall|see|read) "
            "(his|her|the|their|my) key( any more| any longer|)",
            "(the|a|my|his) key (was|is|has been) (forgotten|mislaid|misplaced|not noted|not written "
            "down)",
            "(I|a user|someone|my student|my friend|alice|bob|one of my users|one user|we) (lost|"
            "forgot|has lost|have lost|cannot "
            "find|misplaced|deleted|did not save|no longer has|did not write down) (the|a|his|her|my|"
            "their|an API) (key|API key)",
            "(lost|forgotten|missing|misplaced) (key|API key|user key)",
            "(can|how can|how do|where can|could) I (see|show|read|print|recover|restore|get back|"
            "look up|view) (the key|a key|a "
            "key of a user|a lost key|an old key|my key) (again|once more|later|)",
            "(the|my) key (is gone|was lost|got lost|is lost|has been lost|was not saved)(|, what "
            "now|, what can I do|. What now|, "
            "what should I do)",
            "(where|how) are (the keys|keys|API keys) (stored|kept|saved)",
            "what (if|happens if|do I do if|should I do when) (I lose|a user loses|someone loses|"
            "someone forgot|I forgot|I lost) "
            "(the|a|his|her) key",
            "I (closed the terminal|cleared the screen) (before|and did not) (copying|copy) the key",
            "(the key|the API key) that was (shown|printed|displayed) (once|) (is gone|is lost|I did "
            "not copy it|was not copied)",
        ),
        weight=1.6,
    ),
    Topic(
        answers=answers.REVOKE_KEY,
        actions=(
            "(revoke|withdraw|cancel|invalidate|disable|kill|block|void|end|retire) (a|one|the|a "
            "single|an API|a stolen|a "
            f"leaked|an old) (key|API key|key) {OF}",
            "(make|render) (a|one|a stolen|the leaked|an old) key (useless|invalid|unusable|void)",
            "(revoke|block|disable|invalidate) (keys|API keys|someone's key|alice's key|a key that "
            "leaked)",
            "(delete|remove) (a|one|a single|an old) (key|API key)",
        ),
        questions=(
            "(a|the|one|my) key (is|got|fell|has fallen|came) (in|into) (the wrong|foreign|bad|strange|"
            "other) hands(|, shut it off|, what now|. What do I do)",
            "(shut|turn|switch|cut) off (a|one|this|that|a certain|a stolen) key",
            "(revoke key|key revocation|revoking keys|revoke|stolen key|leaked key|key leaked|delete "
            "key)",
            "(a|the|someone's|my|one) key (was|has been|got|is) (stolen|leaked|published|exposed|"
            "compromised|made public) "
            "(on github|on the internet|by accident|)(|, what now|, what do I do|. What now|, how do "
            "I stop it|, how can I block it)",
            "how (is|can|are) (a key|one key|keys|a stolen key) (revoked|be revoked|made useless|be "
            "blocked|be disabled)",
            "(somebody|someone) (stole|has stolen|got hold of|knows|copied|misuses) (a|my|the) key",
        ),
        weight=1.6,
    ),
)
