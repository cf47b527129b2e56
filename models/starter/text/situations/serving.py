"""Situations in which someone asks how the appliance is reached, and who answers, as people tell them.

`appliance/serving.py` and `talk.py` have the usual wordings of the same questions.
"""

from __future__ import annotations

from models.starter.text import answers, talk
from models.starter.text.situations.people import NAME
from models.starter.text.wording import Topic

_PLACE = (
    "(in the office|in the lab|at the next desk|in the other room|on our wifi|on the wifi|in the "
    "house|upstairs|"
    "on the LAN|on the same network|in the network|in our network|in the class|in the building|next "
    "door|at home|"
    "on the local network|in my team|down the hall)"
)
_DEVICE = (
    "(laptop|phone|mac|pc|computer|tablet|macbook|ipad|desktop|notebook|second machine|other machine|"
    "workstation|"
    "windows pc|raspberry pi)"
)
_TOOL = (
    "(VS Code|langchain|cursor|open webui|llamaindex|n8n|postman|jupyter|continue|my app|a chatbot|"
    "zed|emacs|vim|"
    "my script|my website|python|javascript|node|java|go|rust|aider|obsidian|a notebook|litellm|my "
    "bot|autogen|"
    "the openai sdk|home assistant|excel|my program|a web page|R|C#|bash|librechat|anythingllm)"
)

TOPICS = (
    Topic(
        answers=answers.NETWORK,
        actions=(
            "(share|offer|expose|open|publish|provide|give|make available) (it|this|llamaserve|the "
            "server|the model) (with|to|"
            "for|on) (everybody|everyone|others|the others|all|my colleagues|the people|the team|our "
            "people|the network|our "
            f"wifi|the wifi|the students)(| {_PLACE})",
            "(get|connect|come|go) to (it|the server|llamaserve|this) from (my|another|a|the other|a "
            f"different|an) {_DEVICE}"
            f"(| {_PLACE})",
            "(use|reach|open|call|see|access) (it|this|the server|llamaserve) (from|on) (my|another|"
            "a|the other|his|her) "
            f"{_DEVICE}(| {_PLACE})",
            f"let (people|others|everyone|my colleagues|the class|the others|{NAME}) {_PLACE} (use|"
            "reach|access|open) (it|this)",
        ),
        questions=(
            "(my|a|our|the) (colleague|friend|student|coworker|boss|wife|neighbour|teammate|"
            f"classmate|sister) {_PLACE} "
            "(can't|cannot|can not|could not|is unable to) (open|reach|use|see|access|connect to|get "
            "to) it",
            "(it|the server|llamaserve|this) (only|just) (works|answers|listens|runs|is reachable|"
            "responds) (on|at|from) "
            "(localhost|127.0.0.1|this machine|this computer|the same machine|the machine itself)(|, "
            "why|, how do I change "
            "that|, but others need it)",
            f"(how|can) (do|can|) I (get|connect|reach|use) (to|) it from my {_DEVICE}(| {_PLACE})",
            "(connection refused|no connection|cannot connect|it is not reachable|timeout) from "
            f"(another|my|a) {_DEVICE}",
            f"(everyone|everybody|people|others|my {_DEVICE}|the class|my family) {_PLACE} (should|"
            "must|wants to|needs to) (use|"
            "reach|access|see) (it|this)",
            "(wifi|localhost only|share on network|access from other devices|expose|bind address|"
            "firewall|listen address)",
        ),
        weight=2.2,
    ),
    Topic(
        answers=answers.API,
        actions=(
            "(hook|connect|plug|wire|link|attach|integrate|point|configure|set up|use|couple) (this|"
            "it|llamaserve|the model|) "
            f"(up|) (to|with|in|into|from|for) {_TOOL}",
            "(use|call|query|reach|access|ask|talk to) (it|this|the model|the API|llamaserve) (from|"
            "with|in|out of|through|via) "
            f"{_TOOL}",
            f"(make|let|get) {_TOOL} (talk to|use|call|query|reach|work with|connect to) (it|this|"
            "llamaserve|the model|you)",
            "(write|make|build|program|develop) (a client|a program|an app|a script|code|a bot|some "
            "code) (for|that uses|that "
            "talks to|that calls|against) (it|this|the model|llamaserve|the API)",
        ),
        questions=(
            f"what (do|must|should|can) I (write|put|enter|type|set|configure|use) in {_TOOL} (to "
            "(talk to|use|call|reach|ask|"
            "query) (this|it|the model|you|llamaserve)|as base url|as the address|)",
            f"(does|can|will|would) (it|this|llamaserve) (work|be used|run|cooperate|talk) with {_TOOL}",
            f"(where|to where|to which address) (does|do|should|must|can) (my|an|our|the|{NAME}'s) "
            "(app|program|script|code|"
            "client|bot|software|website) (have to|) (send|post|put|direct|connect|point|go|call) "
            "(its|the|) (questions|requests|"
            "prompts|messages|calls|to|)",
            "(give|show|write|send|print) (me|us|) (a|an|one|some|the) (curl|curl command|curl line|"
            "example|example call|code "
            "example|python example|sample request|snippet|code snippet|example in python)",
            "(curl please|python code|http example|rest api|sdk|integration|code example|"
            "openai_base_url|OPENAI_BASE_URL|"
            "client settings|how to connect an app)",
            "(I|we) (want|need|would like|plan) to (use|connect|call|integrate|plug) (it|this|you|"
            "llamaserve) (from|with|into|"
            f"to|in) {_TOOL}",
        ),
        weight=2.2,
    ),
    Topic(
        answers=answers.STATUS_429,
        questions=(
            "(my|the|a|our|his) (script|program|client|app|code|user|bot|student) (says|reports|"
            "prints|shows|stops with|fails "
            "with|was told|complains about|is told|gets) (too many requests|429|a 429|error 429|rate "
            "limit exceeded|to slow "
            "down|that it is rate limited|the limit is reached)(| with a 429|)(|, why|, what now)",
            "(I'm|I am|we are|my script is|he is|she is|they are) (being|getting|) (rate limited|"
            "throttled|limited|slowed "
            "down|refused with 429|stopped by the rate limit)(|, help|, why|, what now|, what can I do)",
            "(requests|all requests|my requests|calls|some requests) (get|are|are being|were|keep "
            "being) (rejected|refused|"
            "denied|dropped|blocked|turned away) (with|with code|with status|with error|because of) "
            "(429|a 429|a rate limit|too "
            "many requests)(| all of a sudden| suddenly| since today|)",
            "(error|status|code|http|http error)( |: |:)429(| too many requests)",
            "(too many requests|rate limit reached|limit exceeded|retry-after|you have reached your "
            "limit)(|, what now|, help)",
        ),
        weight=1.8,
    ),
    Topic(
        answers=(talk.WHO,),
        questions=(
            "(so|and|but|then|sorry|excuse me|tell me|) (what|which) (kind|sort|type) of (AI|model|"
            "bot|machine|program|thing|"
            "assistant|LLM|system) (is this|are you|is that|am I using|do we have here|answers me|is "
            "running here)",
            "(what's|what is|which model is) (running|working|sitting|hidden|at work|going on) (under "
            "the hood|behind this|here|"
            "inside|in the background|behind the scenes|in there|on this server)",
            "(are you|is this) (something|anything|a thing|a program|a model) (like|similar to|such "
            "as) (chatgpt|claude|gemini|"
            "gpt|siri|alexa|copilot)",
            "(sorry|hello|excuse me|pardon|wait|ok|so), who (am I (speaking|talking|chatting|writing) "
            "(with|to)|are you|is "
            "this|is there|is it)",
            "(whats|what's|what is|tell me|say) (your|ur) (name|full name|real name)(| again| please|)",
            "(identify yourself|state your name|who goes there|your identity|what model|which LLM|"
            "model name|who dis)",
        ),
        weight=1.6,
    ),
)
