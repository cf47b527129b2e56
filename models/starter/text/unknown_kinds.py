"""The kinds of questions that the model cannot answer."""

from __future__ import annotations

KINDS: tuple[tuple[int, str], ...] = (
    (
        8,
        "(tell me|explain|describe|do you know|can you explain|I wonder|I want to understand|can you "
        "tell me|what is the reason) (how|why|when|where) "
        "(THING|NAMEs|rainbows|clouds|stars|planes|shadows|people|cells|waves|bees|markets|magnets|"
        "mirrors) (form|work|fly|are made|arise|sleep|fall|grow|move|live|come from|disappear|shine|"
        "exist|die)",
    ),
    (
        6,
        "(what is|what's|how high is|tell me|do you know|what was) the (price|cost|value|age|name|size|"
        "colour|weight|speed|number|temperature|origin|history|meaning|rate|salary|address|phone "
        "number|population|distance) "
        "of (THING|gold|silver|oil|a NAME|NAME|the dollar|the euro|milk|a house|the sun|a ticket|tesla|"
        "my friend)( today| now| tomorrow| this year||)",
    ),
    (
        5,
        "(who|what) (is|was|are) the (king|queen|president|capital|boss|mayor|author|inventor|best "
        "friend|leader|ruler|mother|enemy) of (PLACE|sweden|spain|france|norway|denmark|THING|NAME|the "
        "world|england|russia)",
    ),
    (
        5,
        "(NAME|a NAME|my NAME|the NAME|THING), (what is it|who is that|what does it do|explain|how "
        "does it work|tell me more|is it good|where is it)",
    ),
    (
        16,
        "(explain|describe|tell me about|tell me more about|what do you know about|tell me "
        "everything about|teach me|talk about|discuss|define|summarize|summarise|what do you "
        "think about|what is your opinion on|give me information about|can you explain|could "
        "you explain|please explain|give me facts about|tell me something about|let us talk "
        "about|I want to learn about|I want to know about|explain to me) THING( to a child| "
        "in simple words| in detail| to me| to a beginner| in one sentence| briefly|||)",
    ),
    (
        9,
        "(write|compose|make|draft|create|give me|can you write|could you write|please write|"
        "write me|I need|help me write) (a|an|a short|a long|me a|a nice|a funny) (poem|"
        "story|song|essay|letter|email|speech|article|report|blog post|paragraph|text|novel|"
        "haiku|limerick|summary|review|tale|rap|sonnet) (about|on|for|of) THING",
    ),
    (
        6,
        "(write|give me|show me|make|create|can you write|I need|generate|code|fix|help me "
        "with) (a|an|some|me a|the|this) (python|java|javascript|bash|C|rust|SQL|html|) "
        "(function|program|script|code|class|query|page|snippet|regex|algorithm|loop|module|"
        "app|game) (that|which|to|for|in order to) (sorts a list|sort numbers|reverses a "
        "string|parse json|reads a file|adds numbers|finds primes|calculate the mean|prints "
        "the date|counts words|downloads a page|connects to a server|solves a maze|merge two "
        "lists|plays chess|sends an email|draws a circle|search text)",
    ),
    (
        5,
        "(translate|can you translate|could you translate|please translate|how do you "
        "translate) (this|this text|the sentence|this letter|THING|hello|good morning|my "
        "text|the following|this word|a sentence|this page) (to|into) LANGUAGE",
    ),
    (
        3,
        "(how do you say|what is|what's) (THING|thank you|hello|goodbye|yes|water|house|dog) "
        "in LANGUAGE",
    ),
    (
        2,
        "(do|can) you (speak|understand|know|talk|write) LANGUAGE",
    ),
    (
        4,
        "(who|who) (won|wins|will win|has won|lost) (the|last night's|yesterday's|today's|"
        "the last|the next) (football match|game|match|world cup|election|race|championship|"
        "olympics|oscar|nobel prize|war|super bowl|tournament|league|elections|cup|final)( "
        "last night| yesterday| in 1998| in 2022| last year| this year||)",
    ),
    (
        7,
        "(who is|who was|who were|do you know|tell me about|what do you know of) (SOMEBODY "
        "of (THING|PLACE|france|america|germany|england|apple|NAME)|NAME|NAME NAME|mozart|"
        "shakespeare|einstein|napoleon|picasso|elvis|messi|cleopatra|darwin|the beatles)",
    ),
    (
        5,
        "(who) (invented|discovered|wrote|painted|built|founded|directed|composed|sang|"
        "killed|designed) (THING|the telephone|hamlet|the mona lisa|the wheel|NAME|"
        "penicillin|america|the light bulb|the pyramids|faust|star wars|the radio)",
    ),
    (
        4,
        "(what is|how is|what will|how will|tell me|what's) (the weather|the weather like|"
        "the weather be|the temperature|the forecast) (today|tomorrow|in PLACE|here|on "
        "Friday|on Monday|this week|in london|like tomorrow|on sunday|like on saturday|be on "
        "tuesday|for the weekend)",
    ),
    (
        2,
        "(will it|is it going to|does it|is it) (rain|snow|be sunny|be cold|raining|snowing|"
        "sunny|be warm) (today|tomorrow|in PLACE|here|this week|outside|tonight|)",
    ),
    (
        4,
        "(what time is it|what is the time|what day is it|what day is today|what is the date|"
        "what year is it|which day is it today|what is today's date|tell me the time|what's "
        "the time|what is the news|what happened today|what is new in the world|any news|"
        "what are the headlines|tell me the news|who is president now|what is the date today)",
    ),
    (
        5,
        "(how do I|how can I|how to|how do you|how does one|what is the best way to|tell me "
        "how to|I want to|can you help me|teach me to) (cook|bake|make|prepare|grill|fry|"
        "boil) (a|some|a good|good|the best|an) (cake|pizza|risotto|soup|omelette|bread|"
        "pasta|curry|stew|salad|egg|rice|steak|lasagne|pie|pancakes|coffee|tea|dinner|sauce)",
    ),
    (
        7,
        "(how do I|how can I|how to|how do you|what is the best way to|I want to|can you "
        "help me|teach me to) (learn|fix|repair|clean|sell|buy|paint|build|grow|choose|find|"
        "invest in|lose|forget|understand|play|study|wash|plant|train|drive|fly) (THING|a "
        "bicycle|a car|the piano|the guitar|a house|a dog|a garden|a job|weight|a boat|chess|"
        "a language|a wall)",
    ),
    (
        6,
        "(why|how) (is|are|does|do|did|was|were) (THING) (so important|work|dangerous|exist|"
        "begin|end|happen|popular|different|so hard|so expensive|change|start|made|useful|"
        "beautiful|matter|bad)",
    ),
    (
        8,
        "(what|who) (is|are|was|were) (THING|THING|a NAME|NAME|the NAME|THING and THING)",
    ),
    (
        5,
        "(where|when) (is|was|are|did|does|do|will) (THING|NAME|the next train|the station|"
        "my friend|the NAME|the party|the meeting|my keys) (located|born|built|invented|"
        "begin|end|start|happen|live|found|from|die|arrive|come|)",
    ),
    (
        3,
        "(when|in which year|in what year) (did|was|were) (THING|NAME|the war|the wall|"
        "columbus) (end|begin|born|fall|invented|discovered|start|built|sail|)",
    ),
    (
        3,
        "(what is|what's|which is|tell me) the (capital|population|area|president|language|"
        "currency|flag|largest city|highest mountain|longest river|national anthem|history|"
        "king|size|best food) of (PLACE|NAMELAND|france|germany|japan|italy|spain)",
    ),
    (
        3,
        "(what is|what's|tell me|which city is|do you know) the capital of (PLACE|PLACE|NAMELAND)",
    ),
    (
        5,
        "how (many|much|far|long|old|tall|big|deep|fast|heavy|high) (is|are|does|do|was) "
        "(THING|NAME|the eiffel tower|the earth|the sun|a ton of gold|people on earth|it to "
        "PLACE|a mile|mount everest|the ocean|stars)( there| cost| away| weigh| in all||)",
    ),
    (
        5,
        "(recommend|suggest|find|choose|can you recommend|could you suggest|what is|which is|"
        "book|order|buy) (me |)(a|a good|the best|some|the cheapest|a nice) (book|film|hotel|"
        "restaurant|phone|laptop|song|game|present|holiday|flight|car|movie|podcast|dress|"
        "bike|table for two|ticket)( for me| for my mother| in PLACE||)",
    ),
    (
        4,
        "(open|close|play|turn on|turn off|set|call|send|book|delete|print|show me|draw|sing|"
        "paint|remind me of) (the light|a song|the door|an alarm|my mother|a picture|a "
        "picture of a cat|a taxi|my file|a message|the radio|the window|a timer|an image|a "
        "photo|music|a video|my friend NAME)",
    ),
    (
        4,
        "(summarise|summarize|correct|check|improve|proofread|rewrite|shorten|analyse|"
        "analyze|read|edit|review) (this|the following|my|this long|the) (text|essay|letter|"
        "article|email|sentence|paragraph|code|document|report|book|page|poem|contract|cv)",
    ),
    (
        3,
        "(should I|is it good to|is it bad to|may I|must I|is it legal to) (marry|buy a "
        "house|quit my job|eat meat|go to PLACE|learn NAME|sell my car|invest|smoke|move to "
        "PLACE|see a doctor|study medicine|drink coffee|tell her|vote|wait for NAME)",
    ),
    (
        4,
        "(give me|tell me|I need) (advice|some advice|a tip|your opinion|an idea|ideas|the "
        "answer|the solution|a quote|a fact|a riddle|a story|a recipe) (about|on|for|from) "
        "THING",
    ),
    (
        5,
        "(which|what) (book|film|song|country|city|river|planet|animal|company|team|element|"
        "king|artist|language|mountain|food|ocean) (is|was|has|won|makes|comes from|belongs "
        "to) (the best|the largest|NAME|the longest|the most famous|the oldest|PLACE|the "
        "coldest|the smallest|the fastest)( in the world||)",
    ),
    (
        4,
        "(my NAME is broken|I feel sad|I am hungry|I am bored|I am ill|my head hurts|I lost "
        "my wallet|I love her|it is cold here|my train is late|I had a bad day|I am in love|"
        "I need a doctor|what should I eat|what should I wear|I cannot sleep|guess what|tell "
        "me a secret|sing a song|tell me a story|play a game with me|let us play|surprise me|"
        "write something|say something in french|do my homework)",
    ),
    (
        3,
        "(compare|what is the difference between|which is better,|difference between) THING "
        "(and|or) THING",
    ),
    (
        3,
        "(solve|what is|calculate|compute) (the square root of NUM|the integral of x|x "
        "squared|NUM percent of NUM|the equation x + NUM = NUM|the sine of NUM|pi|the "
        "derivative of THING|log NUM)",
    ),
    (
        2,
        "(convert|how much is|how many) NUM (dollars|miles|kilos|pounds|feet|degrees|litres|"
        "inches|euros) (to|in|into|are) (euros|kilometres|kilos|metres|celsius|gallons|yen|"
        "pounds|cm)",
    ),
)
"""Patterns, each with how often it comes up before it."""
