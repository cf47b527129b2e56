"""Questions about what it keeps, needs and has settings for."""

from __future__ import annotations

from models.starter.text.wording import Topic

TOPICS = (
    Topic(
        answers=(
            "No. A record has the user, the time, the status and the tokens of a request, but never "
            "its text and never a key.",
        ),
        questions=(
            "(will|does|can|could) (anybody|anyone|somebody|a human|the admin) (read|see|look at|watch|"
            "know) what (I ask|I write|we write|users ask|I type|is asked)",
            "(privacy|data protection|prompts stored|are prompts stored|what is recorded|logging of "
            "prompts|data privacy)",
            "(do|does|is|are|will) (you|it|llamaserve|the proxy|the appliance) (store|keep|save|"
            "record|log|remember|read) (prompts|my prompts|what I write|my messages|conversations|"
            "what users write|my questions|chats|my "
            "data|the text of requests|what we ask)",
            "(are|is) (prompts|my prompts|messages|conversations|chats|what I write|the text of a "
            "request|my questions|answers) (stored|kept|saved|recorded|logged|private|written down)",
            "(what|which data) (is|does it|do you) (recorded|stored|logged|record|store|keep|log) "
            "(of a request|about a request|about me|about users|)",
            "(can|could) (someone|the administrator|my boss|others) (read|see) (my prompts|what I "
            "ask|my questions|my chats|what I write)",
            "(does|will) (my data|anything) leave (this machine|the machine)",
        ),
        weight=1.4,
    ),
    Topic(
        answers=(
            "The engine answers several requests at a time. The others wait, and users take turns, so "
            "that nobody waits for all of another's.",
        ),
        questions=(
            "(two|three|several|many|both|some|five|all) (students|users|people|persons|clients|"
            "programs|colleagues) (ask|come|send requests|write|call|arrive) (at once|together|at the "
            "same time|at the same moment)(, what happens|. What happens|, who is first|. And then|)",
            "(turns|fairness|queue|waiting|fair turns|fair queue|scheduling|round robin|concurrency)",
            "(how|do|does) (do users|users|the users|it|the queue|fairness|does the queue|does it) "
            "(share the model|take turns|work|share|decide who is next|share it)",
            "(why|how long) (do|does|must|did) (I|my request|a request|requests|my stream|users) "
            "(have to wait|wait|hang|take so long|need so long|wait for)",
            "(what|how) (happens|is it) (if|when) (two|several|many|a lot of|three|five|twenty|too "
            "many) (users|people|requests|students|persons|clients) (ask at once|come at the same "
            "time|use it at once|send requests at once|send requests|ask at the same "
            "time|arrive together|use it together)",
            "(can|how many) (several users|many people|requests|users|two users|people) (use it at "
            "once|at the same time|at once|at a time|work at once|be served at once)",
            "(how many requests|how many users) (does it handle|does it serve|can it serve|are "
            "served) (at a time|at once|)",
            "(can|does) (a heavy user|one user|somebody) (block|slow down|starve|hold up) (the "
            "others|everyone|all others)",
            "(why is it|it is|the answers are|why are you) (so slow|slow|very slow|slow today)",
            "who (gets|has) the next turn",
        ),
        weight=1.7,
    ),
    Topic(
        answers=(
            "It needs Python 3.11 or newer, a C and C++ compiler, and a GGUF file as model. A GPU is "
            "not needed.",
        ),
        questions=(
            "(requirements|prerequisites|system requirements|dependencies|what is needed|hardware "
            "requirements)",
            "(what|which) (do I need|does it need|is needed|is required|must be there|software do I "
            "need|is necessary|are the requirements|hardware does it need|are the prerequisites|does "
            "llamaserve need) (to run it|to "
            "start|to install it|to use it|for llamaserve|before I start|)",
            "(which|what) (python|version of python|python version) (do I need|is needed|does it "
            "need|is required)",
            "(do|does|must) (I|it) (need|have) (a compiler|docker|python|a database|root|to be root|"
            "an internet connection)",
            "(on|with) (what|which) (machine|system|computer|hardware) (does it run|can it run|can I "
            "run it)",
        ),
        weight=1.3,
    ),
    Topic(
        answers=(
            "LLAMA_SERVER_N_CTX sets the context length in tokens. Not set, it is the model's own, "
            "8192 at most.",
        ),
        actions=(
            "(change|set|raise|increase|make|enlarge|extend) (the context|the context length|the "
            "context size|the context window|n_ctx|the context longer|the context larger)",
            "(use|have|get) a (longer|larger|bigger|different) context",
        ),
        questions=(
            "(context|context length|context size|context window|n_ctx|long prompts|max context)",
            "how (long|large|big) (is|can be|may be) (the context|a prompt|the context window|my "
            "prompt|a conversation|the prompt)",
            "(what|which) is the (context length|context size|maximum context|longest prompt|context "
            "window)",
            "(my|the) (prompt|conversation|text) is too long",
            "how many tokens (does the context have|fit into the context|can a prompt have|may a "
            "prompt have)",
        ),
        weight=1.2,
    ),
    Topic(
        answers=(
            "LLAMA_SERVER_MAX_TOKENS sets how long an answer may be when a request does not say. Not "
            "set, it is 1024 tokens.",
        ),
        actions=(
            "(limit|change|set|raise|restrict) (the length of answers|how long answers are|the "
            "answer length|the maximum length of an answer|max_tokens|the default max_tokens)",
            "(get|have|allow) (longer|shorter) answers",
        ),
        questions=(
            "(max_tokens|max tokens|answer length|length of answers|longest answer|maximum tokens)",
            "how (long|many tokens) (can|may|is|does) (an answer|answers|the answer) (be|have|)",
            "why (is|was) (the|my) answer (cut off|cut|truncated|so short)",
        ),
        weight=1,
    ),
    Topic(
        answers=(
            "With a GPU, all layers of the model go to it. LLAMA_SERVER_N_GPU_LAYERS changes how "
            "many. Without one, the processor does it all.",
        ),
        actions=(
            "(use|enable|turn on|employ|run it on|run the model on|put layers on) (a GPU|the GPU|my "
            "GPU|a graphics card|my graphics card|CUDA|an nvidia card|the video card)",
        ),
        questions=(
            "(GPU|CUDA|graphics card|gpu layers|nvidia|gpu support|metal)",
            "(does|can|will) (it|llamaserve|the appliance|the model) (use|run on|support|need|work "
            "with) (a GPU|the GPU|my GPU|a graphics card|CUDA|GPUs|graphics cards|my video card|the "
            "graphics card)",
            "(do I|does one) need a (GPU|graphics card)",
            "how many layers (go to|are on|run on) the GPU",
        ),
        weight=1.1,
    ),
    Topic(
        answers=(
            "Llamaserve brings a PostgreSQL of its own. LLAMA_SERVER_DATABASE_URL names another one.",
        ),
        actions=(
            "(use|connect|configure|set up|have|choose) (my own database|my own postgres|another "
            "database|an external database|another PostgreSQL|a different postgres|a database of my "
            "own|my own PostgreSQL)",
            "(install|set up|prepare|create) (a database|the database|postgres|PostgreSQL)",
        ),
        questions=(
            "(database|postgres|PostgreSQL|own database|database url|postgresql)",
            "(what|which) (database|kind of database) (does it use|is used|does llamaserve use|is it|"
            "do you use|is inside)",
            "where (are|is) (users|the records|the data|records|the database|user data) (kept|stored|"
            "saved)",
            "(does|do) (it|I|you) (use|need|have) (a database|postgres|PostgreSQL)",
        ),
        weight=1,
    ),
    Topic(
        answers=('Set "stream": true in the request, and the answer comes in parts, as it is made.',),
        actions=(
            "(stream|get|receive|have) (an answer|the answer|answers) (in parts|as it comes|token by "
            "token|as a stream|piece by piece|live)",
            "(use|enable|turn on|switch on) streaming",
        ),
        questions=(
            "(streaming|stream|streams|streamed answers)",
            "(does|can|do) (it|you|the API|llamaserve) (stream|support streaming|stream answers|do "
            "streaming)",
            "is streaming (supported|possible)",
        ),
        weight=1,
    ),
    Topic(
        answers=("Set LLAMA_PROXY_ENABLED=0: then there is only the model server, with its one key.",),
        actions=(
            "(turn off|disable|switch off|leave out|run without|do without) the (proxy|auth proxy|"
            "user keys|user management)",
            "(run|use|start) (only the model server|the model server alone|it without the proxy|just "
            "the server|it without users)",
        ),
        questions=(
            "(no proxy|without proxy|proxy off|server only)",
            "(can|does) it (run|work) without (the proxy|users|keys)",
        ),
        weight=0.8,
    ),
    Topic(
        answers=("Llamaserve is under the MIT licence. The text is in the file LICENSE.",),
        questions=(
            "(licence|license|MIT|open source|copyright|licensing)",
            "(what|which) (licence|license) (is it|does it have|is this|is it under|has it|applies|"
            "does llamaserve have|is llamaserve under|covers this)",
            "is (it|this|llamaserve) (open source|free|free software|free of charge)",
            "(what does it cost|how much does it cost|does it cost anything|may I use it at work|can "
            "I use it for free|may I change the code)",
            "under (which|what) (licence|license|terms) is (it|llamaserve|this) (released|available|)",
        ),
        weight=1,
    ),
    Topic(
        answers=(
            "README.md explains it all, CONTRIBUTING.md the architecture, and "
            "runtime/config.env.example the settings.",
        ),
        questions=(
            "(documentation|docs|readme|README|handbook|manual)",
            "(where|is there|how) (is|do I find|can I read|can I find|are|) (the documentation|"
            "documentation|the docs|the manual|a manual|more information|the README|more about it)",
            "(where|how) can I (read|learn|find) more (about it|about llamaserve|)",
            "(tell me|explain|describe) (about|) the (architecture|design|structure) (of llamaserve|)",
        ),
        weight=1,
    ),
)
