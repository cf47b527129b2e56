"""Situations in which an administrator asks about users, limits and usage."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.situations.people import HIS, NAME, ONE, ROLE
from models.starter.text.wording import Topic

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

TOPICS = (
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
            f"lock out|hold|switch off|cut off) ({ONE}|him|her|them) {_UNTIL}",
            f"(pause|freeze|suspend|block|disable|lock|close|turn off|deactivate|stop|take away) "
            f"({NAME}'s|his|her|someone's|a user's|the user's|a student's) (account|access|login|"
            f"user) {_UNTIL}",
            f"put ({ONE}|{NAME}'s account|an account|him|her) on (hold|pause|ice|the bench|a break) "
            f"{_UNTIL}",
            f"(keep|stop|prevent|hinder|bar) ({ONE}|him|her) from (using it|sending requests|getting "
            "in|logging in|"
            f"using the model|asking anything) {_UNTIL}",
            f"(not let|refuse|deny) {ONE} (in|access|entry) {_UNTIL}",
        ),
        questions=(
            f"{ONE} is {_AWAY}(, | and |. )(pause|block|suspend|freeze|disable|deactivate|lock|stop) "
            f"({HIS} account|"
            f"{HIS} access|him|her|it)",
            f"({ONE}|he|she) (should not|must not|shall not|may not|shouldn't|is not to|cannot be "
            "allowed to) "
            "(be able to|) (send requests|use it|use the model|get in|work with it|ask anything|log "
            f"in) {_UNTIL}",
            f"({ONE}) (misbehaves|misbehaved|cheated|did not pay|broke the rules|is under suspicion|"
            "has to wait|"
            "abuses it)(|, block (him|her)|, lock (him|her) out|, suspend (him|her)|. How do I stop "
            "(him|her))",
            "(temporary|temporarily|short) (block|ban|suspension|lock|pause|blocking|break)(| for "
            f"{ONE}| of {ONE})",
            f"{ONE}'s access (should|must) (end|rest|be paused|be off|stop) {_UNTIL}",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.ACTIVATE_USER,
        actions=(
            "(unblock|unban|unlock|reinstate|reactivate|re-enable|unfreeze|unsuspend|resume|let back "
            "in|readmit|"
            f"pardon|unpause|free|reopen) ({ONE}|a (suspended|blocked|paused|locked|banned|frozen|"
            "deactivated) "
            f"{ROLE}|{NAME}'s account|an account|him|her)",
            f"(undo|lift|remove|end|cancel|reverse|revert|take off|revoke) (the|a|that|{NAME}'s|his|"
            "her) (block|ban|"
            f"suspension|lock|pause|deactivation|hold|freeze|exclusion)(| on {ONE}| of {ONE}| for "
            f"{ONE}|)",
            f"(let|allow|give) {ONE} (in again|back in|access again|come back|use it again|back)",
        ),
        questions=(
            f"{ONE} is (back|here again|back from (holiday|vacation|leave|hospital|a trip)|well "
            "again|healthy again|"
            "allowed again)(, | and |. |: )(let (him|her|them) in again|unblock (him|her)|give (him|"
            "her) access again|"
            f"enable {HIS} account|wants in again|reactivate (him|her)|needs access again|turn "
            f"{HIS} account on again)",
            f"({NAME}'s|his|her|the suspended|the blocked|the paused) (account|user|access|login) "
            "(should|must|may|can|"
            f"has to) (work|be on|be active|be open|be enabled|function) again",
            f"({ONE}|he|she) (may|can|should|is allowed to) (use it|send requests|come back|log in|"
            "work|get in) "
            f"(again|once more|from today|now)",
            "(the|a|his|her) (ban|block|suspension|pause) is over(|, let (him|her) in|, what now)",
            f"(I|we) (blocked|deactivated|suspended|locked|banned) {ONE} (by mistake|by accident|too "
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
            f"clean up|dispose of|scrub) ({ONE}|an account|an old account|{NAME}'s account|an unused "
            "account|him|her|"
            "a dead account)(| permanently| for good| forever| for ever| completely| and everything "
            "about "
            f"(him|her|them)| and all (his|her) keys| from the system| from the database|)",
            f"(get|take|throw|strike|kick) {ONE} (out of the system|off the list|out|out of the "
            "database)"
            f"(| permanently| for good| forever|)",
            f"(close|end|terminate|cancel) (an|the|{NAME}'s|his|her) account (for good|forever|"
            "permanently|completely)",
        ),
        questions=(
            f"{ONE} (left|has left|quit|resigned|was fired|is gone|graduated|moved away|does not "
            "work here any more|"
            "went to another company|retired|left us|finished|died)(| the company| the lab| the "
            "school| the team|"
            f" the university|)(|, | and |. )(clear out {HIS} account|delete (him|her|{HIS} "
            "account)|remove (him|her|"
            f"{HIS} account)|what happens to the account|how do I remove {HIS} account|get rid of "
            "the account|)",
            f"(I|we) (never|don't|do not) want to (see|have|keep) {ONE} (again|any more|anymore|here "
            "any longer)",
            f"{ONE} (will never come back|is not needed any more|should vanish|must go for good|"
            "should be gone)"
            f"(|, remove (him|her)|, delete (him|her))",
            "(account|user) (removal|deletion|purge|erasure)",
            f"(right to be forgotten|gdpr deletion|delete personal data of {ONE})",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.SET_LIMITS,
        actions=(
            f"(throttle|limit|slow down|restrict|curb|brake|tame|rein in|ration|cap) ({ONE}|him|her|"
            "a heavy user|"
            f"{NAME}'s requests|the requests of {ONE})",
            f"(stop|keep|prevent|hinder) {ONE} from (flooding|overloading|spamming|hammering|hogging|"
            "swamping|"
            f"bombarding) (the server|it|the model|us|the machine|the API)",
            "(set|define|give|enter|configure|introduce|raise|change|lift|lower) (a|the|an own|a "
            "higher|a lower) (quota|"
            "limit|rate|allowance|request limit|cap|maximum|ceiling) (per user|for each user|of "
            "requests|"
            f"for {ONE}|for everybody|)",
            f"(allow|give|grant|let have|permit) ({ONE}|him|her) (more|fewer|less|double|twice the|"
            "500|1000|100|2000) "
            f"(requests|calls|questions)(| a minute| per minute| an hour| per hour| a day| each day)",
        ),
        questions=(
            f"({ONE}|he|she) (sends|makes|fires|shoots|posts|does) (way too many|too many|far too "
            "many|a lot of|"
            "thousands of|endless) (requests|calls|questions)(|, slow (him|her) down|, throttle (him|"
            "her)|, limit "
            f"(him|her)|. What can I do|, what now)",
            f"({ONE}|he|she) (needs|wants|must have|should get|asks for|has to have|requires) more "
            "than (60|100|30|50|"
            f"10|200) (requests|calls) (a minute|per minute|an hour|a day)",
            "(where|how) (do|can|could) I (set|change|define|raise|find) (a|the) (quota|limit|cap|"
            "rate|maximum|"
            f"request limit|allowance) (per user|for a user|for {ONE}|of a user)",
            "(60|100|sixty|the default) requests (a minute|per minute|) (is|are) (too few|too many|"
            "not enough|too much|"
            f"too little) for {ONE}",
            f"{ONE} (floods|spams|overloads|hammers|swamps|bombards|hogs) (the server|it|the model|"
            "the machine|us|"
            f"the API)(|, what now|, slow (him|her) down|, what can I do)",
            f"{ONE} (reaches|hits|runs into|is always at|complains about) {HIS} limit(|, raise it|, "
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
            f"how often|how heavily) ({ONE}|everybody|each person|my team|the class|everyone) (used|"
            "consumed|made|sent|"
            f"burned|burnt|spent|asked|needed)(| last month| in march| this week| yesterday|)",
            "(see|find out|know|tell|show) who (uses|used|hogs|occupies|burns|needs) (it|the model|"
            "most|the most|the "
            "most tokens|everything|all the time of it)",
        ),
        questions=(
            f"how (many|much) (tokens|requests|) (did|has|does) {ONE} (burn|use|used|consume|"
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
