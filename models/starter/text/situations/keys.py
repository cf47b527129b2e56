"""Situations in which an administrator asks about new users and keys."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.situations.people import HIS, NAME, ONE, ROLE
from models.starter.text.wording import Topic

_MANY = (
    "(five|two|three|ten|twenty|several|some|many|all|both|all my|our|my|the|the other|new) "
    "(students|colleagues|people|users|friends|interns|guests|teammates|pupils|employees|coworkers)"
)
_ACCOUNT = "(account|user|login|user account|access)"
_KEY = "(key|API key|token|api key|access key|secret|credentials)"
_EXPERIENCE = (
    "(|, how|, what do I do|. What now|. How do I do that|, what should I do|. What do I run|, help)"
)

TOPICS = (
    Topic(
        answers=answers.CREATE_USER,
        actions=(
            f"(give|get|grant|hand|offer|provide|assign|issue) {ONE} (access|an account|a login|"
            f"{HIS} own key|"
            "a key of their own|credentials|a key|permission to use it|an API key|a way in)",
            f"(add|enrol|enroll|register|onboard|sign up|invite|admit|include|bring in|enter|let in) "
            f"({ONE}|{_MANY}|a new {ROLE}|another {ROLE}|one more {ROLE}|new people|a newcomer)",
            f"set ({ONE}|a new {ROLE}|{_MANY}) up(| with a login| with an account| with a key| as a "
            "user| here)",
            f"(give|get|grant|issue|make|create|hand out) {_MANY} (access|accounts|logins|their own "
            "keys|keys)",
            f"(make|create|open|prepare|set up|produce) (a|an|one) {_ACCOUNT} for ({ONE}|a new "
            f"{ROLE}|{_MANY})",
        ),
        questions=(
            "(we|I) (have|got|hired|expect|welcome|will have|found) (a|one|another|our first) (new|) "
            f"{ROLE}"
            "( in the lab| in the team| on board| at work| next week| today| from monday|)(, | who "
            "needs access. |"
            ". |: )(give (him|her|them) access|set (him|her|them) up|let (her|him|them) in|how does "
            "(he|she) get in|"
            "how do I add (him|her|them)|add (him|her)|what now|(he|she) needs a key|make (him|her) "
            "an account)",
            f"(my|our|a|the) new {ROLE} (starts|begins|arrives|joins|comes|is here|joined)( on "
            "monday| tomorrow|"
            " today| next week| soon|)(, | and |. )(how does (he|she) get in|needs access|needs a "
            "key|how do I set "
            "(him|her) up|wants to use it|what do I type|give (him|her) a login|should be able to "
            "use it)",
            f"how (can|do|could|should) ({_MANY}|{ONE}) each (have|get|be given) (a|their own|an "
            f"own) {_KEY}",
            f"({ONE}|{_MANY}|someone new|a new person|my team) (wants to|needs to|would like to|"
            "should be able to|"
            "must be able to|may|asks to) (join|get in|use the model|use it too|have access|log in|"
            "take part|"
            f"try it|use this)(|, how|. What do I type|, what do I do)",
            "(one more|another|a new|extra|additional) (account|login|user|seat|person|member|"
            f"{ROLE})(| please|, how)",
            "(each|every) (student|person|colleague|member|one of us) (should|must|needs to) (have|"
            "get) "
            f"(a|an own|their own|a separate) {_KEY}",
            f"({HIS} first|first|new) (login|account|user)(| for {ONE})",
        ),
        weight=3.2,
    ),
    Topic(
        answers=answers.LOST_KEY,
        actions=(
            f"(find|recover|get back|look up|see|retrieve|read|restore) (a|the|my|{NAME}'s|his|her) "
            f"(lost|forgotten|old|deleted|missing|vanished|) {_KEY}(| again)",
        ),
        questions=(
            f"({ONE}|I|he|she|we) (deleted|lost|threw away|erased|overwrote|closed|removed|binned|"
            "missed|dropped|"
            "can't find|cannot find|no longer has|no longer have|never saved|did not keep|forgot to "
            "save) "
            "(the (mail|email|message|note|file|paper|window|terminal|text) with|the slip with|) "
            f"{HIS} {_KEY}"
            f"(| any more| anymore| again){_EXPERIENCE}",
            f"(the|my|his|her|{NAME}'s) {_KEY} (scrolled away|disappeared|vanished|is nowhere|is "
            "nowhere to be found|"
            "went missing|was not saved|was deleted|got deleted|is lost|slipped my mind|was "
            "overwritten|is gone)"
            f"(| before I (could copy|copied|saved|wrote down|noted) it){_EXPERIENCE}",
            "I (did not|didn't|forgot to|could not|failed to) (copy|save|write down|note|keep|store) "
            "(the|her|his) "
            f"{_KEY}{_EXPERIENCE}",
            f"({ONE}|he|she) (has|have|) (forgotten|lost|mislaid|misplaced) (what {HIS} {_KEY} (is|"
            f"was)|{HIS} {_KEY})"
            f"{_EXPERIENCE}",
            f"(where|how) (is|was|can I see|do I find|can I look up) ({NAME}'s|his|the old|the first|"
            f"a user's) {_KEY}",
        ),
        weight=1.8,
    ),
    Topic(
        answers=answers.ROTATE_KEY,
        actions=(
            "(renew|reissue|replace|rotate|regenerate|roll over|roll|exchange|refresh|reset|change|"
            "swap|recreate) "
            f"(a|the|an old|{NAME}'s|his|her|the user's|someone's|every|the present|my|one) {_KEY}"
            f"(| for a new one| with a new one| by a fresh one| regularly| every month)",
            f"(give|get|make|issue|print|generate|create) ({ONE}|him|her) (a new|a fresh|another|a "
            "different|a second|"
            f"a replacement) {_KEY}(| instead of the old one| in place of the old one| for the old "
            "one|)",
            f"have (a new|a fresh|another) {_KEY} (made|issued|printed|generated) for {ONE}",
        ),
        questions=(
            f"(I|we) (want|need|would like) {ONE} to (have|get|receive) (a new|a fresh|another) {_KEY}"
            f"(| instead of the old one| in place of the old one)",
            f"({ONE}|he|she) (needs|wants|should get|must get|asks for|has to get) (a new|a fresh|"
            "another|"
            f"a replacement|a different) {_KEY}(|, how|. How|. What do I type)",
            "(is it possible|is there a way|can I|is it allowed|may I) to (renew|replace|exchange|"
            "rotate|refresh|"
            f"change) (a|the|someone's|an old) {_KEY}",
            f"(the|a|my|{NAME}'s) {_KEY} is (too old|old|a year old|outdated|to be changed)(|, renew "
            "it|, exchange it)",
            f"(new|fresh|another|replacement|second) {_KEY} for {ONE}",
            "(how often|when) (should|do) (I|we) (rotate|change|renew) keys",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.REVOKE_KEY,
        actions=(
            "(revoke|kill|cancel|invalidate|disable|block|void|withdraw|deactivate|cut off|shut off|"
            "stop|burn|"
            "switch off|remove|delete|destroy|blacklist|ban) (a|the|that|this|one|a stolen|a leaked|"
            "a compromised|"
            f"an exposed|a published|a single|a lost) {_KEY}(| immediately| at once| now| right away)",
            f"make (a|this|the|that|one|a stolen) {_KEY} (stop working|invalid|worthless|useless|not "
            "work any more)",
        ),
        questions=(
            f"(someone|somebody|a thief|a hacker|an attacker|a stranger|a former {ROLE}|the wrong "
            "person|someone else|"
            "another person|they) (stole|has stolen|took|has|knows|got|is using|uses|found|got hold "
            "of|copied|abuses|"
            f"saw|read|misuses) (a|my|our|{NAME}'s|the|one|his|her) {_KEY}{_EXPERIENCE}",
            f"({HIS}|a|my|the) (laptop|phone|computer|notebook|usb stick|disk|bag|machine) with (the|"
            f"a|my|an|his) {_KEY}"
            f" (on it|in it|) (was|got|is|has been) (stolen|lost|hacked|taken){_EXPERIENCE}",
            f"(we|I) (think|fear|believe|suspect|found out|heard|know) (that|) (a|one|my|{NAME}'s|"
            f"the) {_KEY} "
            "(got|was|has been|is) (compromised|stolen|leaked|exposed|hacked|abused|public|seen by "
            "others)",
            f"({ONE}|I) (posted|published|committed|pushed|uploaded|pasted|leaked|shared|put|sent|"
            "showed) "
            f"({HIS}|a|the|my) {_KEY} (on|to|in|into) (github|the internet|a forum|the repository|a "
            "public chat|"
            "twitter|slack|a repo|a screenshot|stackoverflow|a public page|the wrong "
            f"person){_EXPERIENCE}",
            f"(this|that|the|a|one|his) {_KEY} (must|should|has to|needs to|is to) (stop working|be "
            "killed|die|go|"
            "be blocked|be revoked|be disabled|be invalidated|stop|not work any more)(| immediately| "
            "at once| now)",
            f"(a stolen|a leaked|an exposed|a compromised|a hacked) {_KEY}{_EXPERIENCE}",
            f"(stolen|theft of a|leak of a|leaked|security incident with a) {_KEY}",
        ),
        weight=2,
    ),
)
