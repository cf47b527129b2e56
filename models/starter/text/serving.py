"""Questions about how it is reached and configured, what its errors mean, and how it shares."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.wording import Topic

_IT = "(it|this|the appliance|llamaserve|the API|the model|the server|this service)"

TOPICS = (
    Topic(
        answers=answers.NETWORK,
        actions=(
            "let (my|another|a second|her|his) (laptop|phone|computer|machine|tablet|desktop) (connect "
            "to it|use it|reach it|talk to it|in|access it)",
            "make it listen on (the whole network|the network|all addresses|the LAN|every interface|"
            "the local network)",
            f"(open|expose|offer|make available|publish|share) {_IT} (to the network|on the network|"
            "to others|on my network|to the LAN|in our network|to other machines|to the outside|to "
            "the "
            "internet|on the internet)",
            f"(reach|use|access|call|connect to) {_IT} (from another computer|from other machines|"
            "from my laptop|from my phone|from another machine|over the network|from outside|"
            "remotely|from the "
            "LAN|from elsewhere)",
            f"make {_IT} (reachable|available|accessible|visible) (from outside|on the network|for "
            "others|in the office|to everyone in the house|for other computers|on the local network|"
            "from other machines)",
            "(serve|listen on) (the network|all addresses|the whole network|the LAN|other computers|"
            "0.0.0.0|all interfaces)",
            "let (other|others|other computers|other machines|the whole office|my colleagues|"
            "everyone on the LAN|people in my network) (reach|use|connect to|access) (it|this|the "
            "appliance)",
        ),
        questions=(
            "(network|network access|open to the network|LAN|remote access|open it up|0.0.0.0|listen "
            "on all interfaces)",
            "(can|may|how do|how can) (other computers|others|other machines|my colleagues|people in "
            "my office|other people) (reach it|use it|connect|get to it|reach the API|access it)",
            "(other computers|other machines|the whole office|our lab|my laptop) (should|must|need "
            "to|wants to|cannot) (reach it|use it|connect|connect to it|access it|reach this)(|, how|"
            ". How|, how do I do it)",
            "why (can I not|can't I) (reach|use) it from (another computer|my laptop|another machine|"
            "the network)",
            "how is (it|the appliance|llamaserve) opened to the network",
        ),
        weight=2,
    ),
    Topic(
        answers=(
            "Set LLAMA_PROXY_TLS_CERT and LLAMA_PROXY_TLS_KEY, two PEM files, for HTTPS. Then "
            "./console.sh restart.",
        ),
        actions=(
            "(use|enable|turn on|switch on|set up|configure|get|activate|have|serve) (TLS|HTTPS|"
            "https|SSL|encryption|encrypted connections|a secure connection|certificates|a "
            "certificate)",
            "(encrypt|secure|protect) (the connection|connections|the traffic|the API|requests)",
        ),
        questions=(
            "is there (https|HTTPS|TLS|encryption|SSL)",
            "(I|we) (need|want|would like|prefer) (https|HTTPS|TLS|SSL|encryption|an encrypted "
            "connection|secure connections)",
            "(TLS|HTTPS|https|SSL|certificate|certificates|encryption|tls certificate)",
            "(is|are) (the connection|connections|the traffic|it|requests) (encrypted|secure|secured)",
            "(does|can) it (speak|do|support|use|offer) (TLS|HTTPS|https|SSL|encryption)",
            "where (do|does) (I put|my|the) (certificate|my certificate|certificate go|PEM files go)",
        ),
        weight=1.3,
    ),
    Topic(
        answers=(
            "The proxy listens on port 8001: LLAMA_PROXY_PORT in runtime/config.env changes that. "
            "Then ./console.sh restart.",
        ),
        actions=(
            "(change|set|choose|configure|pick|move) (the port|the proxy's port|another port|the "
            "port number|a different port|the ports)",
            "(use|listen on|serve on|run on|move it to) (another port|a different port|port 9000|"
            "port 8080|some other port|a port of my choice|port 80)",
        ),
        questions=(
            "(port|ports|which port|port number|change port|another port)",
            "(what|which) port (does it use|is it on|does it listen on|is used|do I use|is the API "
            "on|is the proxy on|does the proxy use)",
            "(on|to) which port (does it listen|do requests go|is it|is it reached)",
            "port (8001|8000) is (taken|in use|busy|used by something else|not free)",
        ),
        weight=1.2,
    ),
    Topic(
        answers=answers.API,
        actions=(
            "(call|use|query|reach|try|access|talk to) the (API|endpoint|model from a program|model "
            "from python|model with curl|API with curl|API from a script)",
            "(send|make|post|do) (a request|requests|a chat request|a question|an API call) (to it|"
            "to the API|to the model|with curl|from python|from a program|)",
            "(use|connect|configure|set up) (openai's client|the openai client|the openai library|"
            "the python client|the openai package|openai|my client|an OpenAI client|the openai "
            "python library)",
            "(use|call|reach) it (with curl|from python|from my program|from a script|from "
            "javascript|with the openai client|from my code)",
        ),
        questions=(
            "(which|what) (url|URL|address|endpoint) (do I put into|goes into|do I set in|do I give to|"
            "belongs in) (my program|my client|my script|the code|my app|my code)",
            "(API|curl|base url|endpoint|python client|API address|openai client|URL|api url|curl "
            "example|example request)",
            "(what|which|where) is (the|its|your) (URL|address|base URL|endpoint|API address|"
            "base_url|API URL|API endpoint)",
            "(what|which) (address|URL|base URL|base_url|endpoint) (do I use|must I use|does my "
            "client need|do I give my client|is it|do I enter)",
            "(is it|are you) (compatible with openai|openai compatible|OpenAI compatible)",
            "(does|can|will) (openai's client|the openai library|the openai client|an openai client|"
            "my openai code|OpenAI's python library) (work|be used|run) (with it|with this|here|)",
            "how (does|do) (a program|programs|my code|clients|a client) (talk to it|use it|reach it|"
            "connect)",
            "where do (I send|requests go|I send my requests|clients connect)",
        ),
        weight=1.8,
    ),
    Topic(
        answers=(
            "The settings are in runtime/config.env, and runtime/config.env.example explains each. "
            "Then ./console.sh restart.",
        ),
        actions=(
            "(configure|set up|customise|customize|adjust) (it|llamaserve|the appliance|this|the "
            "server)",
            "(change|edit|find|see|adjust|set|modify) (the configuration|the settings|a setting|"
            "settings|the config|the options|the config file|options)",
        ),
        questions=(
            "(configuration|settings|config|config file|options|config.env|configure|environment "
            "variables)",
            "(where|in which file) (is|are|do I find|can I find|do I change) (the|) (configuration|"
            "settings|config file|config|options)",
            "(which|what) (settings|options|configuration keys|keys|environment variables) (are "
            "there|exist|can I set|can I change|does it have)",
            "(which|what) file (has|contains|is for|are) the (settings|configuration|options)",
            "(where|how) (are|is) (settings|the configuration|a setting) (kept|made|stored|changed)",
        ),
        weight=1.4,
    ),
    Topic(
        answers=answers.STATUS_429,
        actions=(
            "(avoid|get rid of|fix|solve|stop|prevent) (a 429|429 errors|error 429|status 429|the "
            "429|rate limit errors)",
        ),
        questions=(
            "(I|we|my users|they) (keep|are) (seeing|getting|receiving) (error 429|a 429|429 errors|"
            "429|429 responses)",
            "(429|error 429|status 429|http 429|429 error|a 429|rate_limit_exceeded|too many "
            "requests|code 429|rate limit exceeded)",
            "(what|why) (does|is|do) (a 429|429|error 429|status 429|the 429|http 429|code 429|too "
            "many requests|rate_limit_exceeded) (mean|mean here|tell me|)",
            "what is (a|an|the) (429|error 429|http error 429|429 error|status 429)",
            "(why|when) (do|does|did) (I|a user|my client|my program|one|we|alice) (get|see|receive|"
            "have) (a 429|429|error 429|429s|status 429|429 errors|too many requests)",
            "(I|we|my client|a user|my script|my app) (get|got|gets|see|sees|keep getting|receive|"
            "shows) (a 429|429|error 429|429s|429 all the time|429 errors|status code 429|too many "
            "requests)(|, why|. Why|, what "
            "now|. What now|, what is that)",
            "(the|my) (server|API|proxy|client|request|requests) (says|answers|returns|sends|gets|"
            "fail with|failed with|fails with) (a 429|429|too many requests|error 429)",
            "what (happens|comes|is) (if|when) (I send too many requests|a limit is reached|the rate "
            "limit is exceeded|a user is over the limit|the limit is full)",
            "why (am I|was I|is my request) (limited|throttled|rate limited|refused)",
        ),
        weight=2.2,
    ),
    Topic(
        answers=(
            "A 401 means that there is no key, or that it is wrong, mistyped, revoked or rotated.",
        ),
        actions=(
            "(fix|solve|avoid|get rid of) (a 401|401 errors|error 401|status 401|an unauthorized error)",
        ),
        questions=(
            "(why|how come) (a|the|this|) 401",
            "(what is|what's) the (reason|cause|meaning) (for|of|behind) (a|the|status|error) 401",
            "(my|a|the|every) request (was|is|gets) (refused|answered|rejected|denied) with (a |)401",
            "(401|error 401|status 401|http 401|401 error|a 401|invalid_api_key|unauthorized|code "
            "401|unauthorised)",
            "(what|why) (does|is|do) (a 401|401|error 401|status 401|invalid_api_key|http 401|code "
            "401|unauthorized) (mean|mean here|tell me|)",
            "(why|when) (do|does) (I|a user|my client|we) (get|see|receive) (a 401|401|error 401|"
            "status 401|unauthorized)",
            "(I|we|my client|a user|my script) (get|got|gets|see|keep getting|receive) (a 401|401|"
            "error 401|status 401|401 back|unauthorized)(|, why|. Why|, what is wrong|, what now|. "
            "What is that)",
            "(the|my) (server|API|proxy|client|request) (says|answers|returns|gets|fails with) (a "
            "401|401|unauthorized|error 401)",
            "why (is|was) (my key|the key|a key) (refused|rejected|not accepted|invalid|wrong)",
            "(my|the) key (does not work|is not accepted|is refused|is invalid)",
        ),
        weight=1.5,
    ),
    Topic(
        answers=("A 403 means that the key has expired or that the user is deactivated.",),
        actions=(
            "(fix|solve|avoid|get rid of) (a 403|403 errors|error 403|status 403|a forbidden error)",
        ),
        questions=(
            "(why|how come) (a|the|this|) 403",
            "(what is|what's) the (reason|cause|meaning) (for|of|behind) (a|the|status|error) 403",
            "(my|a|the|every) request (was|is|gets) (refused|answered|rejected|denied) with (a |)403",
            "(403|error 403|status 403|http 403|403 error|a 403|forbidden|code 403|key_expired|"
            "user_inactive)",
            "(what|why) (does|is|do) (a 403|403|error 403|status 403|http 403|code 403|forbidden|"
            "user_inactive|key_expired) (mean|mean here|tell me|)",
            "(why|when) (do|does) (I|a user|my client|we) (get|see|receive) (a 403|403|error 403|"
            "status 403|forbidden)",
            "(I|we|my client|a user|my script) (get|got|gets|see|keep getting|receive) (a 403|403|"
            "error 403|status 403|403 back|forbidden)(|, why|. Why|, what is wrong|, what now|. What "
            "is that)",
            "(the|my) (server|API|proxy|client|request) (says|answers|returns|gets|fails with) (a "
            "403|403|forbidden|error 403)",
        ),
        weight=1.4,
    ),
    Topic(
        answers=(
            "A 503 means that too many requests wait, or that the engine is starting or stopping. "
            "Try again a little later.",
        ),
        actions=(
            "(fix|solve|avoid|get rid of) (a 503|503 errors|error 503|status 503|service unavailable)",
        ),
        questions=(
            "(why|how come) (a|the|this|) 503",
            "(what is|what's) the (reason|cause|meaning) (for|of|behind) (a|the|status|error) 503",
            "(my|a|the|every) request (was|is|gets) (refused|answered|rejected|denied) with (a |)503",
            "(503|error 503|status 503|http 503|503 error|a 503|server_is_overloaded|code 503|"
            "overloaded|service unavailable)",
            "(what|why) (does|is|do) (a 503|503|error 503|status 503|http 503|code 503|"
            "server_is_overloaded|overloaded) (mean|mean here|tell me|)",
            "(why|when) (do|does) (I|a user|my client|we) (get|see|receive) (a 503|503|error 503|"
            "status 503|overloaded)",
            "(I|we|my client|a user|my script) (get|got|gets|see|keep getting|receive) (a 503|503|"
            "error 503|status 503|503 back|service unavailable)(|, why|. Why|, what is wrong|, what "
            "now|. What is that)",
            "(the|my) (server|API|proxy|client|request) (says|answers|returns|gets|fails with) (a "
            "503|503|overloaded|error 503)",
        ),
        weight=1.4,
    ),
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
