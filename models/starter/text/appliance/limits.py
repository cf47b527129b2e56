"""Questions about limits, weights, the end of keys, and usage."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.appliance.people import OF, USER
from models.starter.text.wording import Topic

TOPICS = (
    Topic(
        answers=answers.SET_LIMITS,
        actions=(
            "(restrict|hold|limit|bind|cut|allow|set) (someone|a user|one person|alice|a student) (to|"
            "at) (100|50|1000|600|a few|ten|20) requests (a day|an hour|a minute|per hour|per day)",
            "(loosen|tighten|widen|relax|extend|halve) (a limit|the limit|the rate limit|a user's "
            "limit|someone's limits|the quota)",
            "(set|change|raise|lower|increase|reduce|adjust|lift|edit|modify|double) (the|a|a "
            "user's|someone's|alice's) (limit|limits|rate "
            f"limit|request limit|quota|rate|rate limits) {OF}",
            f"(give|allow|grant|permit) (a user|someone|alice|one {USER}|that user|him|them) (more|"
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
            f"limit|the token budget|token usage) {OF}",
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
