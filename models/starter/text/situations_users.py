"""Situations in which an administrator asks about users and keys, as people tell them.

`users.py` has the usual wordings of the same questions.
"""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.wording import Topic

NAME = (
    "(bob|alice|carol|dave|eve|anna|tom|peter|maria|john|lisa|sam|max|paul|julia|nina|emma|carlos|wei|"
    "priya|"
    "omar|kim|frank|grace|heidi|ivan|judy|mike|oscar|sara|ben|leo|mia|noah|zoe|ahmed|yuki|olga|felix|"
    "rosa)"
)
_ROLE = (
    "(colleague|student|teammate|coworker|friend|roommate|intern|employee|guest|customer|contractor|"
    "tester|"
    "postdoc|professor|tutor|trainee|sister|brother|flatmate|visitor|developer|co-worker|researcher|"
    "person|"
    "user|member|pupil|staff member|freelancer|volunteer|apprentice|girlfriend|kid|boss|assistant)"
)
_ONE = (
    f"({NAME}|{NAME}|{NAME}|a user|a {_ROLE}|the {_ROLE}|my {_ROLE}|our {_ROLE}|this {_ROLE}|one "
    f"{_ROLE}|"
    "someone|somebody|one person|user test|user 7|one of the users|one of my people|a certain user)"
)
_MANY = (
    "(five|two|three|ten|twenty|several|some|many|all|both|all my|our|my|the|the other|new) "
    "(students|colleagues|people|users|friends|interns|guests|teammates|pupils|employees|coworkers)"
)
_HIS = "(his|her|their|my|the|our|its)"
_ACCOUNT = "(account|user|login|user account|access)"
_KEY = "(key|API key|token|api key|access key|secret|credentials)"
_AWAY = (
    "(on leave|on holiday|on vacation|ill|away|abroad|on parental leave|suspended|sick|travelling|"
    "off|in hospital)"
)
_UNTIL = (
    "(until monday|until friday|for now|for the moment|for a while|for a week|for two weeks|for some "
    "days|"
    "over the weekend|until the exam is over|until further notice|till next month|temporarily|for "
    "some time|"
    "until I say so|during the holidays|until the bill is paid|until next term|a bit|for today|"
    "meanwhile|)"
)
_EXPERIENCE = (
    "(|, how|, what do I do|. What now|. How do I do that|, what should I do|. What do I run|, help)"
)

TOPICS = (
    Topic(
        answers=answers.CREATE_USER,
        actions=(
            f"(give|get|grant|hand|offer|provide|assign|issue) {_ONE} (access|an account|a login|"
            f"{_HIS} own key|"
            "a key of their own|credentials|a key|permission to use it|an API key|a way in)",
            f"(add|enrol|enroll|register|onboard|sign up|invite|admit|include|bring in|enter|let in) "
            f"({_ONE}|{_MANY}|a new {_ROLE}|another {_ROLE}|one more {_ROLE}|new people|a newcomer)",
            f"set ({_ONE}|a new {_ROLE}|{_MANY}) up(| with a login| with an account| with a key| as a "
            "user| here)",
            f"(give|get|grant|issue|make|create|hand out) {_MANY} (access|accounts|logins|their own "
            "keys|keys)",
            f"(make|create|open|prepare|set up|produce) (a|an|one) {_ACCOUNT} for ({_ONE}|a new "
            f"{_ROLE}|{_MANY})",
        ),
        questions=(
            "(we|I) (have|got|hired|expect|welcome|will have|found) (a|one|another|our first) (new|) "
            f"{_ROLE}"
            "( in the lab| in the team| on board| at work| next week| today| from monday|)(, | who "
            "needs access. |"
            ". |: )(give (him|her|them) access|set (him|her|them) up|let (her|him|them) in|how does "
            "(he|she) get in|"
            "how do I add (him|her|them)|add (him|her)|what now|(he|she) needs a key|make (him|her) "
            "an account)",
            f"(my|our|a|the) new {_ROLE} (starts|begins|arrives|joins|comes|is here|joined)( on "
            "monday| tomorrow|"
            " today| next week| soon|)(, | and |. )(how does (he|she) get in|needs access|needs a "
            "key|how do I set "
            "(him|her) up|wants to use it|what do I type|give (him|her) a login|should be able to "
            "use it)",
            f"how (can|do|could|should) ({_MANY}|{_ONE}) each (have|get|be given) (a|their own|an "
            f"own) {_KEY}",
            f"({_ONE}|{_MANY}|someone new|a new person|my team) (wants to|needs to|would like to|"
            "should be able to|"
            "must be able to|may|asks to) (join|get in|use the model|use it too|have access|log in|"
            "take part|"
            f"try it|use this)(|, how|. What do I type|, what do I do)",
            "(one more|another|a new|extra|additional) (account|login|user|seat|person|member|"
            f"{_ROLE})(| please|, how)",
            "(each|every) (student|person|colleague|member|one of us) (should|must|needs to) (have|"
            "get) "
            f"(a|an own|their own|a separate) {_KEY}",
            f"({_HIS} first|first|new) (login|account|user)(| for {_ONE})",
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
            f"({_ONE}|I|he|she|we) (deleted|lost|threw away|erased|overwrote|closed|removed|binned|"
            "missed|dropped|"
            "can't find|cannot find|no longer has|no longer have|never saved|did not keep|forgot to "
            "save) "
            "(the (mail|email|message|note|file|paper|window|terminal|text) with|the slip with|) "
            f"{_HIS} {_KEY}"
            f"(| any more| anymore| again){_EXPERIENCE}",
            f"(the|my|his|her|{NAME}'s) {_KEY} (scrolled away|disappeared|vanished|is nowhere|is "
            "nowhere to be found|"
            "went missing|was not saved|was deleted|got deleted|is lost|slipped my mind|was "
            "overwritten|is gone)"
            f"(| before I (could copy|copied|saved|wrote down|noted) it){_EXPERIENCE}",
            "I (did not|didn't|forgot to|could not|failed to) (copy|save|write down|note|keep|store) "
            "(the|her|his) "
            f"{_KEY}{_EXPERIENCE}",
            f"({_ONE}|he|she) (has|have|) (forgotten|lost|mislaid|misplaced) (what {_HIS} {_KEY} (is|"
            f"was)|{_HIS} {_KEY})"
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
            f"(give|get|make|issue|print|generate|create) ({_ONE}|him|her) (a new|a fresh|another|a "
            "different|a second|"
            f"a replacement) {_KEY}(| instead of the old one| in place of the old one| for the old "
            "one|)",
            f"have (a new|a fresh|another) {_KEY} (made|issued|printed|generated) for {_ONE}",
        ),
        questions=(
            f"(I|we) (want|need|would like) {_ONE} to (have|get|receive) (a new|a fresh|another) {_KEY}"
            f"(| instead of the old one| in place of the old one)",
            f"({_ONE}|he|she) (needs|wants|should get|must get|asks for|has to get) (a new|a fresh|"
            "another|"
            f"a replacement|a different) {_KEY}(|, how|. How|. What do I type)",
            "(is it possible|is there a way|can I|is it allowed|may I) to (renew|replace|exchange|"
            "rotate|refresh|"
            f"change) (a|the|someone's|an old) {_KEY}",
            f"(the|a|my|{NAME}'s) {_KEY} is (too old|old|a year old|outdated|to be changed)(|, renew "
            "it|, exchange it)",
            f"(new|fresh|another|replacement|second) {_KEY} for {_ONE}",
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
            f"(someone|somebody|a thief|a hacker|an attacker|a stranger|a former {_ROLE}|the wrong "
            "person|someone else|"
            "another person|they) (stole|has stolen|took|has|knows|got|is using|uses|found|got hold "
            "of|copied|abuses|"
            f"saw|read|misuses) (a|my|our|{NAME}'s|the|one|his|her) {_KEY}{_EXPERIENCE}",
            f"({_HIS}|a|my|the) (laptop|phone|computer|notebook|usb stick|disk|bag|machine) with (the|"
            f"a|my|an|his) {_KEY}"
            f" (on it|in it|) (was|got|is|has been) (stolen|lost|hacked|taken){_EXPERIENCE}",
            f"(we|I) (think|fear|believe|suspect|found out|heard|know) (that|) (a|one|my|{NAME}'s|"
            f"the) {_KEY} "
            "(got|was|has been|is) (compromised|stolen|leaked|exposed|hacked|abused|public|seen by "
            "others)",
            f"({_ONE}|I) (posted|published|committed|pushed|uploaded|pasted|leaked|shared|put|sent|"
            "showed) "
            f"({_HIS}|a|the|my) {_KEY} (on|to|in|into) (github|the internet|a forum|the repository|a "
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
    Topic(
        answers=answers.LIST_USERS,
        actions=(
            "(see|list|show|print|get|find out|know|read|display) (who has (a key|an account|access|a "
            "login)|everybody|"
            "everyone|who is registered|who was added|all names|the names|all accounts|all the people|"
            "who may use it)",
            "(count|list|print|dump|output|show|name|view) (the|all|my|our|existing|all existing|"
            "registered) "
            "(accounts|users|people|members|logins|usernames|user names)",
        ),
        questions=(
            "(who|which people|which users|what people) (all|else|exactly|) (has|have|got|is having) "
            "(access|an account|"
            "a key|accounts|keys|permission|a login)(| here| to it| to the model| at the moment)",
            "how many (people|users|accounts|members|students|persons) (are|have been|were) "
            "(registered|there|added|"
            "created|enrolled|signed up|known)(| so far| by now|)",
            "(I|we) (forgot|don't know|do not know|can't remember|need to know) (what|which|the) "
            "(names|accounts|users|"
            "user names|people) (I created|there are|exist|we have|I made|I added|we gave out)",
            "(is there|where is|give me|I need|show) (a|an|the) (overview|table|list|directory|"
            "register|roster) of (the|"
            "all|my|our|) (accounts|users|people|members|logins)",
            "(what are|give me|print) the (names|usernames|user names) (of|) (my|all|the|our) (users|"
            "accounts|people)",
            "(who|which names) did (I|we) (add|create|register|let in)(| so far)",
        ),
        weight=1.8,
    ),
    Topic(
        answers=answers.DEACTIVATE_USER,
        actions=(
            "(block|suspend|pause|ban|lock|freeze|disable|deactivate|bar|exclude|stop|sideline|turn "
            "off|mute|shut out|"
            f"lock out|hold|switch off|cut off) ({_ONE}|him|her|them) {_UNTIL}",
            f"(pause|freeze|suspend|block|disable|lock|close|turn off|deactivate|stop|take away) "
            f"({NAME}'s|his|her|someone's|a user's|the user's|a student's) (account|access|login|"
            f"user) {_UNTIL}",
            f"put ({_ONE}|{NAME}'s account|an account|him|her) on (hold|pause|ice|the bench|a break) "
            f"{_UNTIL}",
            f"(keep|stop|prevent|hinder|bar) ({_ONE}|him|her) from (using it|sending requests|getting "
            "in|logging in|"
            f"using the model|asking anything) {_UNTIL}",
            f"(not let|refuse|deny) {_ONE} (in|access|entry) {_UNTIL}",
        ),
        questions=(
            f"{_ONE} is {_AWAY}(, | and |. )(pause|block|suspend|freeze|disable|deactivate|lock|stop) "
            f"({_HIS} account|"
            f"{_HIS} access|him|her|it)",
            f"({_ONE}|he|she) (should not|must not|shall not|may not|shouldn't|is not to|cannot be "
            "allowed to) "
            "(be able to|) (send requests|use it|use the model|get in|work with it|ask anything|log "
            f"in) {_UNTIL}",
            f"({_ONE}) (misbehaves|misbehaved|cheated|did not pay|broke the rules|is under suspicion|"
            "has to wait|"
            "abuses it)(|, block (him|her)|, lock (him|her) out|, suspend (him|her)|. How do I stop "
            "(him|her))",
            "(temporary|temporarily|short) (block|ban|suspension|lock|pause|blocking|break)(| for "
            f"{_ONE}| of {_ONE})",
            f"{_ONE}'s access (should|must) (end|rest|be paused|be off|stop) {_UNTIL}",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.ACTIVATE_USER,
        actions=(
            "(unblock|unban|unlock|reinstate|reactivate|re-enable|unfreeze|unsuspend|resume|let back "
            "in|readmit|"
            f"pardon|unpause|free|reopen) ({_ONE}|a (suspended|blocked|paused|locked|banned|frozen|"
            "deactivated) "
            f"{_ROLE}|{NAME}'s account|an account|him|her)",
            f"(undo|lift|remove|end|cancel|reverse|revert|take off|revoke) (the|a|that|{NAME}'s|his|"
            "her) (block|ban|"
            f"suspension|lock|pause|deactivation|hold|freeze|exclusion)(| on {_ONE}| of {_ONE}| for "
            f"{_ONE}|)",
            f"(let|allow|give) {_ONE} (in again|back in|access again|come back|use it again|back)",
        ),
        questions=(
            f"{_ONE} is (back|here again|back from (holiday|vacation|leave|hospital|a trip)|well "
            "again|healthy again|"
            "allowed again)(, | and |. |: )(let (him|her|them) in again|unblock (him|her)|give (him|"
            "her) access again|"
            f"enable {_HIS} account|wants in again|reactivate (him|her)|needs access again|turn "
            f"{_HIS} account on again)",
            f"({NAME}'s|his|her|the suspended|the blocked|the paused) (account|user|access|login) "
            "(should|must|may|can|"
            f"has to) (work|be on|be active|be open|be enabled|function) again",
            f"({_ONE}|he|she) (may|can|should|is allowed to) (use it|send requests|come back|log in|"
            "work|get in) "
            f"(again|once more|from today|now)",
            "(the|a|his|her) (ban|block|suspension|pause) is over(|, let (him|her) in|, what now)",
            f"(I|we) (blocked|deactivated|suspended|locked|banned) {_ONE} (by mistake|by accident|too "
            "early|wrongly)"
            f"(|, undo it|, how do I undo that|, what now)",
        ),
        weight=1.8,
    ),
    Topic(
        answers=answers.DELETE_USER,
        actions=(
            "(delete|remove|erase|purge|wipe|clear out|throw out|kick out|drop|get rid of|eliminate|"
            "expunge|discard|"
            f"clean up|dispose of|scrub) ({_ONE}|an account|an old account|{NAME}'s account|an unused "
            "account|him|her|"
            "a dead account)(| permanently| for good| forever| for ever| completely| and everything "
            "about "
            f"(him|her|them)| and all (his|her) keys| from the system| from the database|)",
            f"(get|take|throw|strike|kick) {_ONE} (out of the system|off the list|out|out of the "
            "database)"
            f"(| permanently| for good| forever|)",
            f"(close|end|terminate|cancel) (an|the|{NAME}'s|his|her) account (for good|forever|"
            "permanently|completely)",
        ),
        questions=(
            f"{_ONE} (left|has left|quit|resigned|was fired|is gone|graduated|moved away|does not "
            "work here any more|"
            "went to another company|retired|left us|finished|died)(| the company| the lab| the "
            "school| the team|"
            f" the university|)(|, | and |. )(clear out {_HIS} account|delete (him|her|{_HIS} "
            "account)|remove (him|her|"
            f"{_HIS} account)|what happens to the account|how do I remove {_HIS} account|get rid of "
            "the account|)",
            f"(I|we) (never|don't|do not) want to (see|have|keep) {_ONE} (again|any more|anymore|here "
            "any longer)",
            f"{_ONE} (will never come back|is not needed any more|should vanish|must go for good|"
            "should be gone)"
            f"(|, remove (him|her)|, delete (him|her))",
            "(account|user) (removal|deletion|purge|erasure)",
            f"(right to be forgotten|gdpr deletion|delete personal data of {_ONE})",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.SET_LIMITS,
        actions=(
            f"(throttle|limit|slow down|restrict|curb|brake|tame|rein in|ration|cap) ({_ONE}|him|her|"
            "a heavy user|"
            f"{NAME}'s requests|the requests of {_ONE})",
            f"(stop|keep|prevent|hinder) {_ONE} from (flooding|overloading|spamming|hammering|hogging|"
            "swamping|"
            f"bombarding) (the server|it|the model|us|the machine|the API)",
            "(set|define|give|enter|configure|introduce|raise|change|lift|lower) (a|the|an own|a "
            "higher|a lower) (quota|"
            "limit|rate|allowance|request limit|cap|maximum|ceiling) (per user|for each user|of "
            "requests|"
            f"for {_ONE}|for everybody|)",
            f"(allow|give|grant|let have|permit) ({_ONE}|him|her) (more|fewer|less|double|twice the|"
            "500|1000|100|2000) "
            f"(requests|calls|questions)(| a minute| per minute| an hour| per hour| a day| each day)",
        ),
        questions=(
            f"({_ONE}|he|she) (sends|makes|fires|shoots|posts|does) (way too many|too many|far too "
            "many|a lot of|"
            "thousands of|endless) (requests|calls|questions)(|, slow (him|her) down|, throttle (him|"
            "her)|, limit "
            f"(him|her)|. What can I do|, what now)",
            f"({_ONE}|he|she) (needs|wants|must have|should get|asks for|has to have|requires) more "
            "than (60|100|30|50|"
            f"10|200) (requests|calls) (a minute|per minute|an hour|a day)",
            "(where|how) (do|can|could) I (set|change|define|raise|find) (a|the) (quota|limit|cap|"
            "rate|maximum|"
            f"request limit|allowance) (per user|for a user|for {_ONE}|of a user)",
            "(60|100|sixty|the default) requests (a minute|per minute|) (is|are) (too few|too many|"
            "not enough|too much|"
            f"too little) for {_ONE}",
            f"{_ONE} (floods|spams|overloads|hammers|swamps|bombards|hogs) (the server|it|the model|"
            "the machine|us|"
            f"the API)(|, what now|, slow (him|her) down|, what can I do)",
            f"{_ONE} (reaches|hits|runs into|is always at|complains about) {_HIS} limit(|, raise it|, "
            "give (him|her) more)",
        ),
        weight=2.3,
    ),
    Topic(
        answers=answers.USAGE,
        actions=(
            "(bill|charge|invoice) (departments|people|users|my users|the groups|each user|each team) "
            "for (what they "
            "used|what they consumed|their tokens|their use|their share)",
            "(see|know|find out|check|show|learn|measure|get|look up) (how much|how many tokens|how "
            "many requests|"
            f"how often|how heavily) ({_ONE}|everybody|each person|my team|the class|everyone) (used|"
            "consumed|made|sent|"
            f"burned|burnt|spent|asked|needed)(| last month| in march| this week| yesterday|)",
            "(see|find out|know|tell|show) who (uses|used|hogs|occupies|burns|needs) (it|the model|"
            "most|the most|the "
            "most tokens|everything|all the time of it)",
        ),
        questions=(
            f"how (many|much) (tokens|requests|) (did|has|does) {_ONE} (burn|use|used|consume|"
            "consumed|spend|send|eat up|"
            "need|make)( in (march|april|may|june|july|january)| last month| this month| yesterday| "
            "this year| so far|)",
            "(who|which user|which of my (people|users|students|colleagues)|which person|what user|"
            "which student) (is|has "
            "been|was) (hogging|using|occupying|eating up|loading|busiest with|overusing|the busiest "
            "with) (the model|it|"
            "the server|the machine|all tokens|everything|most of it)",
            "who (has been|is|was) (the|) (busiest|most active|heaviest|laziest|most eager|biggest "
            "consumer|top user)"
            "(| this week| user| lately| today|)",
            "(are there|do you have|where are|is there|give me|show me) (any|the|some|) (numbers|"
            "figures|statistics|"
            "metrics|data|charts|stats|information) (on|about|of|for) (how much (it is|it's|it was|"
            "the model is) (being|) "
            "used|the use|usage|consumption|token use|requests|who uses it)",
            "(I|we) (have to|must|need to|want to) (bill|charge|invoice|account for|report on) "
            "(departments|people|users|"
            "groups|what was used|the usage|tokens)( for (what they consumed|what they used|tokens)|)",
            "(monthly|weekly|daily) (report|statistics|usage|summary|numbers)",
            "(cost|costs|accounting|billing|chargeback|token counts|consumption per person)",
        ),
        weight=2.3,
    ),
)
