"""Questions about how it is reached and configured, and what its errors mean."""

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
)
