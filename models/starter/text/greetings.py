"""Greetings and courtesies."""

from __future__ import annotations

from models.starter.text.wording import Topic

TOPICS = (
    Topic(
        answers=(
            "Hello! I am the small starter model of Llamaserve. How can I help you?",
            "Hello! How can I help you?",
        ),
        questions=(
            "(greet|welcome|say hello to|say hi to|address) (the audience|the class|everybody|our "
            "guests|the reader|my boss|the team|my mother|us|my colleagues|the world) (with|in|using) "
            "(a short|one|a nice|a single|a friendly) (sentence|line|phrase|greeting|word)",
            "(produce|speak|utter|type|offer) (a|one|some|a short|a friendly) (hello|greeting|welcome|"
            "sentence of greeting)",
            "(hello|hi|hey|hello there|hi there|hey there|greetings|hello again|hi again|howdy|hiya|"
            "hello world|good day|yo|hallo|hello you|hello model|hey model|hi llama|hello llamaserve)",
            "(hello|hi|hey)",
            "(say|write|give me|send me) (hello|hi|a greeting|a hello|a short greeting|a friendly "
            "hello) (in one sentence|in a sentence|to me|to everyone|in a few words|to the world|in "
            "one line|)",
            "say (hello|hi) (in one sentence|in one sentence|in one short sentence|in a single "
            "sentence|in five words|to my friend)",
            "(say something|say anything|greet me|greet us|greet the user|welcome me|talk to me)",
            "(is|are) (anybody|anyone|someone|you|somebody) (there|here|home|listening|awake|around|"
            "online)",
            "(can you hear me|do you hear me|do you read me|are you awake|hello, are you there|"
            "anyone there|hello, anyone)",
            "(hello|hi|hey) (my friend|everyone|everybody|dear model|computer|robot|bot|assistant|"
            "all|friend)",
            "(hello|hi), (I am new here|I am new|nice to meet you|it is me|here I am|how nice to see "
            "you)",
        ),
        weight=3.5,
    ),
    Topic(
        answers=("Good morning! How can I help you?",),
        questions=(
            "(good morning|morning|good morning to you|a good morning|good morning everyone|a very "
            "good morning|good morning, model)",
        ),
        weight=0.8,
    ),
    Topic(
        answers=("Good afternoon! How can I help you?",),
        questions=(
            "(good afternoon|afternoon|good afternoon everyone|a good afternoon|a nice good afternoon)",
        ),
        weight=0.7,
    ),
    Topic(
        answers=("Good evening! How can I help you?",),
        questions=(
            "(good evening|evening|good evening to you|a good evening|good evening everyone|a very "
            "good evening)",
        ),
        weight=0.7,
    ),
    Topic(
        answers=("Goodbye! Have a good day.",),
        questions=(
            "(bye|goodbye|good bye|bye bye|see you|see you later|see you soon|cheerio|farewell|so "
            "long|until later|take care|ciao|good night|I have to go|I must go now|that is all|that "
            "was all|talk to you later)",
            "(ok|okay|well|thanks), (bye|goodbye|see you|see you later|bye bye|bye for now|I have to "
            "go)",
            "(bye|goodbye|see you) (now|for now|then|tomorrow|next week|my friend|model|later|again|"
            "for today)",
            "(I am|I'm) (leaving|going|off) (now|home|to bed|)",
            "(have a nice day|have a good day|have a good evening|have a nice weekend|until tomorrow|"
            "until next time)",
        ),
        weight=1.6,
    ),
    Topic(
        answers=("You are welcome!",),
        questions=(
            "(many thanks|thanks|thank you) for (explaining|telling me|answering|your time|clearing "
            "that up|showing me|your patience|letting me know|the explanation)",
            "(I am grateful|I appreciate it|I appreciate that|so kind of you|that was what I needed|"
            "you helped me|you have helped me a lot|thanks, I know now)",
            "(thanks|thank you|thank you very much|thanks a lot|many thanks|thx|thank you so much|ty|"
            "thanks very much|thanks so much|cheers|much appreciated|I thank you)",
            "(great|good|ok|okay|perfect|nice|super|fine|cool|wonderful|alright), (thanks|thank you|"
            "thanks a lot|many thanks)",
            "(thanks|thank you) for (your help|the help|that|the answer|helping|everything|the "
            "information|the quick answer|explaining that)",
            "(that|this|it) (helped|helps|worked|was helpful|was useful|was good|helps a lot|helped "
            "me|is very helpful|did it)",
            "(thanks|thank you), (that helped|it works|it worked|that was helpful|I got it|very kind|"
            "this is useful|that is all I needed)",
        ),
        weight=1.8,
    ),
    Topic(
        answers=("I am well, thank you! How can I help you?",),
        questions=(
            "(how are you|how are you doing|how do you do|how's it going|how is it going|how are "
            "things|how do you feel|are you ok|are you well|you ok|how goes it|what's up|how have "
            "you been|how is life|"
            "how are you feeling|are you alright|how is everything|how are things going|are you fine|"
            "everything ok)",
            "how (are|do) you (doing|feel|do|) (today|this morning|now|this evening|these days|)",
            "(hello|hi|hey), how (are you|are you doing|is it going|are things|do you do)",
            "(how was|how is) your day",
        ),
        weight=1.6,
    ),
)
