"""Questions about models, the chat, upgrades and backups."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.wording import Topic

_MODEL = "(model|GGUF|GGUF file|GGUF model|language model|LLM)"
_BETTER = (
    "(real|better|bigger|larger|proper|smarter|stronger|good|serious|full|more capable|new|"
    "different real)"
)

TOPICS = (
    Topic(
        answers=answers.PULL,
        actions=(
            "(download|get|fetch|find|load) (something|a model|one|anything) (cleverer|better|bigger|"
            "smarter|stronger|larger|more capable) (than you|than this|than the starter|)",
            "(get|download|fetch|pull|install|obtain|find|load|have|add) (a|a|another|some) "
            f"{_BETTER} {_MODEL}",
            f"(get|download|fetch|pull|install|load) (a|another|some|a different) {_MODEL} (from "
            "hugging face|from the internet|from the hub|)",
            "(get|have|receive|obtain) (better|smarter|longer|more clever|real|good|proper|useful) "
            "answers",
            "(download|get|fetch|pull|install) (qwen|llama|mistral|gemma|phi|a qwen model|llama 3|"
            "deepseek)",
        ),
        questions=(
            "(your|the) answers are (poor|bad|weak|too simple|useless), (where is|how do I get|I want|"
            "can I get) a (better|real|smarter|larger) model",
            "(pull|download a model|download model|get model|real model|better model|model download|"
            "get a real model|another model)",
            f"where (do|can|could) (I|we|one) (get|download|find|obtain) (a|another|some) ({_BETTER}|"
            f") {_MODEL}",
            f"(I|we) (want|need|would like|would prefer) (a|some) {_BETTER} {_MODEL}(|, where do I "
            "get it|, how|. How do I get one|, what do I do)",
            f"is there a {_BETTER} {_MODEL}",
            "(you are|this model is|the model is|the answers are) (too small|too weak|not clever "
            "enough|not good enough|too stupid)(|, what can I do|, how do I get a better one)",
            "(can|does) (it|llamaserve|the appliance) download models",
            "what does (pull|./console.sh pull|console.sh pull) do",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.USE,
        actions=(
            "(rather|instead) (serve|use|run) (a different|another|my own|some other) (model|GGUF file|"
            "LLM)",
            "(put|set) (another|a different|my own|a new) (model|GGUF file) (in its place|in place of "
            "this one|to work|to use)",
            "(change|switch|swap|replace|exchange) (the|the|the served|the current|the running) "
            f"{_MODEL}",
            f"(change|switch|move) to (another|a different|a new|a second|the other) {_MODEL}",
            "(use|serve|load|run|choose|select|pick|activate|set) (another|a different|my own|some "
            f"other|the other|a second|a particular|which) {_MODEL}",
            "(serve|use|run|load) (my own model|my own GGUF file|the model I downloaded|a model that "
            "I have|a file of mine|the downloaded model|another GGUF file instead)",
        ),
        questions=(
            "(use|change model|switch model|swap models|model change|another model, how|serve "
            "another model|choose a model|change the model)",
            "how (is|can|do) the model (changed|be changed|switched|be switched|replaced|be replaced|"
            "get changed)",
            "(I|we) (have|downloaded|got|want to use) (another|a different|a new|a second) "
            f"{_MODEL}(|, how do I serve it|, how do I use it|. How do I switch|, how do I switch to "
            "it| and want to use it)",
            "what does (use|./console.sh use|console.sh use) do",
            "(the|another) model should be (used|served|changed|switched|the one that is served)",
        ),
        weight=2,
    ),
    Topic(
        answers=("./console.sh models lists the models that are there.",),
        actions=(
            "(list|see|show|view|display|print|find out|count) (the|all|my|all the|the available|the "
            "installed|the local|the downloaded) (models|GGUF files|model files|LLMs)",
            "(see|find out|know|check|look up|show) which (models|GGUF files) (I have|are there|are "
            "installed|exist|there are|are available|can be served|are on disk)",
            "(get|show|print) a list of (models|the models|all models|my models|available models)",
        ),
        questions=(
            "(what|which) models (can I choose from|can I choose|are on offer|may I pick|are at hand|"
            "do we have here|could I serve|are ready|lie here|do I own)",
            "(models|list models|model list|available models|installed models|show models|all models)",
            "(which|what|how many) (models|GGUF files) (are there|do I have|are installed|do you "
            "have|exist|are available|can I use|are on this machine|have I got|"
            "have I downloaded|can be served)",
            "what does (./console.sh models|console.sh models|the models command) do",
        ),
        weight=1.4,
    ),
    Topic(
        answers=(
            "GGUF files go into the folder models/. Then ./console.sh use FILE serves one of them.",
        ),
        actions=(
            "(put|place|copy|save|store|move|drop|add) (a|my|the|my own) (GGUF file|model file|model|"
            "GGUF|downloaded model)",
        ),
        questions=(
            "(where|in which folder|into which directory|in what directory|to which folder) (do|does|"
            "should|must|can|to) (I|a model|a GGUF file|models|the models|model files|GGUF files) "
            "(put|go|belong|be put|be placed|live|copy) (a model|a GGUF file|my model|the model file|"
            "the file|models|)",
            "(where|in which folder) are (the|) (models|model files|GGUF files) (kept|stored|saved|)",
            "(models folder|model folder|model directory|where models go|model path)",
            "(which|what) (folder|directory) (is|holds|is for|has|contains) (for|) (the|) (models|"
            "model files|GGUF files)",
            "what (kind of|type of|) (files|format|models) (can|does) it (serve|load|use|read|support)",
        ),
        weight=1.3,
    ),
    Topic(
        answers=("./console.sh chat lets you chat with the model in the terminal.",),
        actions=(
            "(chat|talk|speak) (with|to) (the model|it|you|a model) (in the terminal|from the "
            "terminal|in the console|on the command line|without curl|from here|from the shell)",
            "(open|start|have|begin) (a chat|a conversation|an interactive chat|an interactive "
            "session) (in the terminal|on the command line|in the console|from the shell|)",
            "try the model (in|from) the (terminal|console|shell|command line)",
        ),
        questions=(
            "(chat|chat command|terminal chat|chat in the terminal|interactive chat|command line chat)",
            "(is there|do you have|does it have) (a chat|a chat command|a terminal chat|an "
            "interactive mode|a chat program|a chat interface|something to chat with)",
            "what does (./console.sh chat|console.sh chat|the chat command) do",
        ),
        weight=1.2,
    ),
    Topic(
        answers=answers.UPGRADE,
        actions=(
            "(update|upgrade) (the appliance|llamaserve|this|the software|it|the program|to a new "
            "version|to the newest version|to the latest release)",
            "(get|install|use|have) (the|a) (new|newest|latest|newer|next) (version|release) (of "
            "llamaserve|of it|of this|)",
            "bring (llamaserve|it|this) up to date",
        ),
        questions=(
            "(update|upgrade|upgrading|new version|updates|upgrades|latest version)",
            "how (is|can|are) (it|llamaserve|the appliance|updates) (updated|upgraded|be updated|be "
            "upgraded|installed)",
            "(is there|there is|I saw) a (new|newer) version",
        ),
        weight=1.2,
    ),
    Topic(
        answers=answers.BACKUP,
        actions=(
            "(make|create|take|do|write|get) a (backup|copy|dump|safe copy) (of the database|of the "
            "data|of all data|of users and keys|of my users|of everything|)",
            "(back up|backup|save|secure|export|dump) (the database|the data|everything|my users|"
            "users and keys|it|all users|the records)",
        ),
        questions=(
            "(backup|backups|back up|database backup|dump|database dump|pg_dump)",
            "how (is|are|do|can) (a backup|backups|the data|the database) (made|be made|saved|be "
            "backed up|backed up|work)",
            "(is|are) (there|) (backups|a backup) (possible|made|)",
        ),
        weight=1.2,
    ),
)
