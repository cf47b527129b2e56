"""Questions about users, their keys, limits and usage."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.wording import Topic

_USER = "(user|person|colleague|student|member|client)"
_A_USER = f"(a|the|one|some) {_USER}"
_SOMEONE = (
    f"(a user|a user|someone|somebody|a person|a colleague|a student|one {_USER}|my colleague|alice|"
    "bob|a client)"
)
_OF = f"(of a user|for a user|of a user|of someone|for someone|of one {_USER}|of alice|of bob|)"
_NEW_USER = (
    f"(a|a|a new|another|a further|one more|my first|an additional|a second) "
    f"(user|user|user|user account|account|{_USER}|login)"
)

TOPICS = (
    Topic(
        answers=answers.CREATE_USER,
        actions=(
            "(create|make|add|create|set up|register|open|get|define|generate|enrol|onboard) "
            f"{_NEW_USER}",
            "(create|make|add|register) (a user|users|accounts|new users|several users|user accounts|"
            "new accounts)",
            f"(add|register|enter) (someone|somebody|my friend|a {_USER}|my {_USER}|a new {_USER}) "
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
            f"an API key|keys) {_OF}",
            "(rotate|replace|change|renew|exchange|swap) (someone's|alice's|bob's|my|his|her|their|"
            "the user's) (key|API key|keys)",
            f"(give|issue|make|get|print) {_SOMEONE} (a new key|a fresh key|another key|a different "
            "key)",
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
            f"leaked|an old) (key|API key|key) {_OF}",
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
    Topic(
        answers=answers.LIST_USERS,
        actions=(
            "(print|show|display|enumerate|name|read out|count|see|list) (every|each|any) (user|"
            "account|person) (there is|that exists|I have|that we have|)",
            "(print|show|name|see) (all the|all) (users|accounts) (there are|that exist|we have|on "
            "this machine)",
            "(list|see|show|view|display|get|print|find|look at|count) (all|all the|the|all of the|"
            "my|every|our) "
            "(users|accounts|user accounts|people)",
            "(get|see|show|print|have) a (list|table|overview) of (all|the|all the|my|) (users|"
            "accounts|people with access)",
            "(see|find out|know|check|look up) (who|which people|which users) (has access|have "
            "access|exist|has an account|there "
            "are|has a key|is registered|are registered)",
        ),
        questions=(
            "(who|which people|which users) (has|have|got) (access|an account|a key|accounts) (here|"
            "to this|)",
            "(list users|user list|all users|list of users|users|show users|list accounts|list all)",
            "(which|what|how many) (users|accounts) (are there|do I have|exist|do we have|have I got|"
            "have been created|are registered)",
            "who (are|is) (my|the|our|all) (users|user)",
            "who (can|may) use (the model|this|the API)",
        ),
        weight=1.5,
    ),
    Topic(
        answers=(f"{answers.CLI} show-user --username NAME shows a user's limits and keys.",),
        actions=(
            "(see|show|view|display|look at|get|print|inspect|find) (the details|details|information|"
            "the data|everything|the "
            "keys|the limits|the key list) (of|about|for) (a|one|a single|some) user",
            "(show|see|inspect|look up|view|display|examine) (a|one|a single|a certain|a particular) "
            "(user|account|user only)",
            "(see|show|list|find|look up) (a user's|someone's|alice's|bob's|the user's) (keys|limits|"
            "details|settings|public id|data)",
            "(find|see|look up|get) the public id of a key",
        ),
        questions=(
            "(show user|user details|show one user|details of a user|info about a user|user info)",
            "(which|what|how many) (keys|limits) (does|has) (a user|one user|alice|bob|someone) "
            "(have|got|)",
            "what are (the|a user's|someone's|alice's) (limits|keys) (of a user|)",
            "(where|how) do I (find|see) (the public id|a key's id|the id of a key)",
        ),
        weight=1.3,
    ),
    Topic(
        answers=answers.DEACTIVATE_USER,
        actions=(
            "(keep|stop|prevent|hinder|hold|exclude) (this|that|a|one|some) (person|user|student|"
            "client) from (using|calling|accessing|reaching) (the model|it|this|the API) (until monday|"
            "until next week|for now|for a day|till tomorrow|)",
            "(put|set) (a user|an account|someone) on hold",
            "(deactivate|disable|suspend|lock|block|ban|pause|freeze|stop|shut out|lock out|switch "
            f"off) {_SOMEONE}",
            "(deactivate|disable|suspend|block|freeze|lock|pause) (a user|an account|a user account|"
            "someone's account|users) (for a "
            "while|for now|temporarily|for some time|at once|for a week|)",
            f"(lock|shut|keep) {_SOMEONE} out (for a while|for now|temporarily|for some time|)",
            "(stop|keep|prevent) (a user|someone|somebody|a person) from (using the model|using it|"
            "sending requests|using this)",
            "(take away|suspend|block|turn off|disable|stop) (someone's|a user's|the|alice's|a "
            "person's|his) access "
            "(for a while|for now|temporarily|to the model|of a user|)",
        ),
        questions=(
            "(this|that|a|one) (person|user|student) (is not to|must not|should not|may not|shall not) "
            "(use it|use the model|have access|get in|send requests) (until monday|this week|any more|"
            "for now|for a while|today|)",
            "(deactivate user|deactivation|disable user|block user|suspend user|lock user|ban user|"
            "deactivate)",
            "how (is|can|are) (a user|users|someone|an account) (deactivated|be deactivated|disabled|"
            "be blocked|locked out|be locked)",
            "(a user|someone|one of them) (misbehaves|should not use it for now|must be stopped|uses "
            "too much, stop him|must not "
            "come in for a week)",
            "what does (deactivate-user|deactivating a user|deactivate) do",
        ),
        weight=1.7,
    ),
    Topic(
        answers=answers.ACTIVATE_USER,
        actions=(
            "(enable|unlock|activate|let in|turn on|admit) (the|a|that) (user|person|account) again "
            "(that|whom|who) (I disabled|I blocked|was deactivated|I locked out|was disabled|I "
            "deactivated)",
            "(enable|turn on|switch on|restore|open) (a|the|an|someone's) (user|account|user account|"
            "access) (again|once more|anew)",
            "(activate|reactivate|re-enable|unblock|unlock|enable|unban|unfreeze|reinstate|readmit) "
            "(a|the|a deactivated|a "
            "blocked|a locked|a suspended|this|my) (user|account|user account|person)",
            "(activate|reactivate|unblock|unlock|re-enable) (someone|alice|bob|users|him|her|"
            "somebody) (again|)",
            "let (a user|someone|a deactivated user|a blocked user|him|her|alice|a person) (in|back "
            "in|come back|in again)",
            "(give|allow|restore) (a deactivated|a blocked|a locked out|a suspended) (user|person) "
            "(access again|access|back his access)",
            "(undo|reverse|lift|take back|end) (a deactivation|the deactivation of a user|the block "
            "of a user|the ban of a user)",
        ),
        questions=(
            "(activate user|reactivate|reactivation|unblock user|unlock user|activate|enable user)",
            "how (is|can) a (deactivated|blocked|locked|) user (be activated|reactivated|be let in "
            "again|activated|unlocked) (again|)",
            "(a|the|my) user (was|is|has been) (deactivated|blocked|locked|locked out), (how do I "
            "undo that|how do I let him in|how "
            "can she come back|and should come back)",
            "(the user|he|she|this person|alice) (may|should|can|is allowed to) (come back|use it "
            "again|return) (now|again|)",
        ),
        weight=1.5,
    ),
    Topic(
        answers=answers.DELETE_USER,
        actions=(
            "(wipe|destroy|eliminate|clear|discard|scrap|wipe out|terminate|cancel) (a user|an account|"
            "the user|one user|users|a user account) (and everything|and all that belongs to him|with "
            "all the data|completely|with the keys|for ever|)",
            "(delete|remove|erase|drop|get rid of|kick out|throw out|purge) (a|the|an old|one|my|a "
            "former) "
            f"(user|account|user account|user|{_USER})",
            "(delete|remove|erase|drop) (users|accounts|someone|alice|bob|a user) (for good|for ever|"
            "completely|entirely|permanently|)",
            f"(delete|remove|erase|drop) {_A_USER} (and|with|together with) (all|all of|) (keys|the "
            "keys|their keys|his keys)",
            "(take|strike) (a user|someone|an account) (off the list|out|out of the system|off)",
        ),
        questions=(
            "(delete user|remove user|user deletion|deleting users|delete account|remove account|"
            "erase user)",
            "how (is|can|are|does) (a user|users|an account|someone|accounts) (deleted|be deleted|"
            "removed|be removed|get deleted|get "
            "removed)",
            "(a|the|one) (user|student|colleague|member) (has left|left|is leaving|is gone|quit)(|, "
            "how do I delete the account|, how "
            "do I remove him|, remove the account)",
            "what (happens|becomes) (to|of|with) the records (when|if|after) (I delete a user|a user "
            "is deleted)",
            "(do|are) (the|) records (stay|kept) when a user is deleted",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.SET_LIMITS,
        actions=(
            "(restrict|hold|limit|bind|cut|allow|set) (someone|a user|one person|alice|a student) (to|"
            "at) (100|50|1000|600|a few|ten|20) requests (a day|an hour|a minute|per hour|per day)",
            "(loosen|tighten|widen|relax|extend|halve) (a limit|the limit|the rate limit|a user's "
            "limit|someone's limits|the quota)",
            "(set|change|raise|lower|increase|reduce|adjust|lift|edit|modify|double) (the|a|a "
            "user's|someone's|alice's) (limit|limits|rate "
            f"limit|request limit|quota|rate|rate limits) {_OF}",
            f"(give|allow|grant|permit) (a user|someone|alice|one {_USER}|that user|him|them) (more|"
            "fewer|less|1000|500|more) (requests|calls|"
            f"requests per hour|requests a minute|requests a day|quota)",
            "(limit|restrict|cap|throttle|slow down) (a user|someone|users|one user|alice|how many "
            "requests a user sends|the requests of "
            "a user|the number of requests)",
            "(set|define) how many requests (a user|someone|each user) may (send|make) (in an hour|"
            "per minute|a day|)",
        ),
        questions=(
            "(set limits|set-limits|rate limit|rate limits|limits|limit a user|user limits|change "
            "limits|more requests|quota|quotas)",
            "how (are|is|can|do) (limits|the limit|a user's limits|a limit|rate limits) (set|be set|"
            "changed|be changed|work|raised|be "
            "raised|be lowered)",
            "(a user|someone|alice|one of my users) (needs|wants|should get|should have|may have) "
            "(more requests|a higher limit|a higher rate|"
            "a bigger quota|fewer requests|a lower limit)",
            "how do I give (that|this|the|a) user more",
            "(what is|what's) (the|a|my) (default limit|rate window|request window|standard limit)",
            "(a user|someone|one user) (sends|makes) too many requests",
        ),
        weight=2.2,
    ),
    Topic(
        answers=(
            f"{answers.CLI} set-limits --username NAME --token-limit 200000 limits a user's tokens in "
            "the "
            "rate window.",
        ),
        actions=(
            "(limit|cap|restrict|bound) the (tokens|number of tokens|amount of tokens) (a person|a "
            "user|someone|one user|a student|he) (may|can|should) (use|burn|spend|consume|take)",
            "(set|limit|cap|restrict|bound|control|change|raise) (the tokens|the token use|the "
            "number of tokens|tokens|a token limit|the token "
            f"limit|the token budget|token usage) {_OF}",
            "(limit|cap|restrict|control) how many tokens (a user|someone|each user|one user|alice|"
            "they) (uses|may use|spend|spends|gets|consumes)",
            "(give|set) (a user|someone|alice) a (token limit|token budget|token quota|limit of tokens)",
            "(limit|cap|restrict) (a user|someone|users|alice) (by|in|to some) tokens",
        ),
        questions=(
            "(token limit|token limits|token quota|limit tokens|tokens per user|token budget|max "
            "tokens per user)",
            "(is there|do you have|can I set) a (token limit|limit on tokens|limit for tokens|token "
            "budget)",
            "(a user|someone) uses too many tokens",
            "how (is|are|can) (tokens|a user's tokens|the token use) (limited|be limited|capped|be "
            "capped)",
        ),
        weight=1.4,
    ),
    Topic(
        answers=(
            f"{answers.CLI} set-limits --username NAME --weight 2 gives a user two turns in each round.",
        ),
        actions=(
            "(give|grant|assign) (a user|someone|alice|my boss|one user|the teacher) (priority|a "
            "higher priority|more turns|two turns|more "
            "weight|a weight|precedence|a bigger share)",
            "(set|change|raise|increase) (the weight|the priority|the share) (of a user|for a user|"
            "of someone|)",
            "(serve|prefer|favour|prioritise|prioritize) (one user|a user|someone|alice|my boss|some "
            "users) (more often|first|before "
            "others|over others|more|twice as often|)",
            "make (one user|a user|someone) (more important|faster than others|go first|come first|"
            "get more turns|wait less)",
        ),
        questions=(
            "(can|may|could) (the boss|my boss|a user|one user|the teacher|alice|someone) (get|have|"
            "receive) (two|three|more|twice as many|extra) turns(| instead of one| in a round)",
            "(weight|priority|priorities|weights|user priority|user weight|set weight)",
            "what (is|does) (a weight|the weight|--weight|a user's weight) (mean|do|for|)",
            "(one user|a user|my boss|the teacher|alice) (should|must|shall) (have|get|be given) "
            "(priority|more turns|a bigger share|two "
            "turns|precedence)",
            "(someone|one user|alice) should be (served|preferred|handled) (more often|first|before "
            "the others|more often than the others|twice "
            "as often)",
        ),
        weight=1.4,
    ),
    Topic(
        answers=(
            f"{answers.CLI} create-user --username NAME --expires 30d makes a key that ends after 30 "
            "days.",
        ),
        actions=(
            "(make|create|issue|give someone|have) (a key|keys|an API key|a user) that (expires|ends|"
            "stops working|runs out|is valid for) "
            "(after 30 days|after a week|after a month|in a month|on a date|soon|by itself|)",
            "(let|make) (a key|keys) (expire|end|run out|expire by itself|expire automatically) "
            "(after 30 days|after a week|after some time|)",
            "(set|limit|choose|change) (the|a|) (expiry|expiration|expiry date|end date|lifetime|"
            "life) (of a key|for a key|)",
            "(create|make) a (temporary|time-limited|short-lived) (key|user|account)",
        ),
        questions=(
            "(key expiry|expiry|expiration|expires|temporary key|temporary user|expiring keys|expiry "
            "date)",
            "(can|do|does|will|when do|when does) (keys|a key|the key|an API key|my key) (expire|end|"
            "run out|ever expire|expire by itself|have an "
            "expiry date|have an end)",
            "how long (is|are|does|do) (a key|keys|the key) (valid|last|work|live)",
            "what does --expires do",
        ),
        weight=1.3,
    ),
    Topic(
        answers=answers.USAGE,
        actions=(
            "(see|show|view|check|find|get|print|look up|display|track|monitor|measure|report) (the "
            "usage|usage|who used what|usage statistics|the "
            "statistics|the use|token usage|the usage of users|the usage of each user|how much was "
            "used|who used it|the consumption)",
            "(see|find out|check|look up|know|learn|count) (who used the most|who uses the model|how "
            "many requests a user made|how many tokens were "
            "used|how much someone used|how much each user used|what a user used|which user is the "
            "heaviest|who is the busiest user|how many "
            "requests there were|how many tokens alice used)",
            "(get|print|make|show|see) (a report|statistics|numbers|figures|a summary|an overview) "
            "(of|about|on|for) (the|) (usage|use|requests|tokens|"
            "token consumption|last week|each user)",
            "(show|list|print|see) (the|all|) (requests|tokens) (of|by|for|per) (each user|all users|"
            "every user|a user|user|day) (this week|for the "
            "last week|of the last 7 days|since yesterday|today|)",
        ),
        questions=(
            "how much (did|has|have) (everybody|everyone|all users|all of them|the users|my team|each "
            "person|somebody|a student) (use|used|consume|consumed) (in the past days|this month|"
            "recently|in the last days|yesterday|in the last week|so far|)",
            "(is there|do you have|where is|give me|I need) (a|the|some) (report|list|summary|record|"
            "table|account) (on|of|about|for) (usage|use|token usage|the use of tokens|who used what|"
            "what was used|requests)",
            "(usage|usage report|show usage|statistics|stats|who used what|see usage|token usage|"
            "usage by user|requests per user|consumption)",
            "(who|which user|which person) (used|uses|has used|spends|sent) (the most|the model most|"
            "most tokens|most|the most tokens|the most "
            "requests|it the most|how much)",
            "how (much|many tokens|many requests) (did|has|have|do) (a user|alice|bob|each user|my "
            "users|everyone|they|people) (use|used|make|made|"
            "send|consumed|consume|spent) (this week|today|so far|last week|)",
            "(where|how) (are|is|can I see) (requests|tokens|usage|the usage) (counted|recorded|shown|)",
            "how many (requests|tokens) (were|have been|are) (made|used|sent|consumed) (today|last "
            "week|this week|so far|)",
        ),
        weight=2.2,
    ),
)
