"""Questions about the appliance's commands: start, stop, logs, models and the like."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.wording import Topic

_IT = (
    "(the appliance|llamaserve|Llamaserve|the server|the system|everything|it|this|this thing|the "
    "service|the whole thing|"
    "the model server|this appliance|the program|the software)"
)
_MODEL = "(model|GGUF|GGUF file|GGUF model|language model|LLM)"
_BETTER = (
    "(real|better|bigger|larger|proper|smarter|stronger|good|serious|full|more capable|new|"
    "different real)"
)

TOPICS = (
    Topic(
        answers=answers.START,
        actions=(
            "(start|launch|run|boot|bring up|start up|fire up|begin|turn on|switch on|get going|"
            f"power up) {_IT}",
            f"(start|launch|run|boot|bring up|turn on|switch on) {_IT} (again|up|from the terminal|"
            "for the first time|)",
            f"get {_IT} (running|going|started|up|up and running|to run|to start|online)",
            "(get started|begin|start serving|serve a model|start over|make it run|install and start "
            "it)",
        ),
        questions=(
            "(what|which command) (makes|gets) it (go|run|start|work)",
            "(the|what is the) (start command|command to begin|command that starts all)",
            "(start|starting|launch|startup|start command|getting started|first steps|quick start|"
            "installation|install)",
            f"how (is|can|does) {_IT} (started|be started|start|get started|launched)",
            f"how (do|can) I install {_IT}",
            "(what|which) (is|command is) the (start command|command that starts it|command for "
            "starting)",
            f"{_IT} (is not running|does not run|is off|is down|is stopped)(|, how do I start it|, "
            "what now|. How do I start it)",
        ),
        weight=2.2,
    ),
    Topic(
        answers=answers.STOP,
        actions=(
            "(bring|put) (it|the appliance|everything|llamaserve|the server) to (a halt|a stop|an end|"
            "rest)",
            "(cease|finish|exit|deactivate) (the appliance|the server|llamaserve|serving|all of it)",
            "(stop|shut down|halt|end|turn off|switch off|terminate|quit|kill|power off|bring down|"
            f"take down|close) {_IT}",
            f"(shut|turn|bring|take|switch) {_IT} (down|off)",
            "(stop serving|end it all|stop all processes|shut down cleanly|end everything|stop all "
            "parts)",
            f"(make|let) {_IT} stop",
        ),
        questions=(
            "(stop|stopping|shutdown|stop command|shut down|turn off|quit)",
            f"how (is|can|does) {_IT} (stopped|be stopped|stop|be shut down|shut down|switched off)",
            f"{_IT} (should|must) (stop|be stopped|be turned off|be shut down)",
        ),
        weight=2.2,
    ),
    Topic(
        answers=answers.RESTART,
        actions=(
            f"(restart|reboot|reload|relaunch|restart|bounce) {_IT}",
            "(restart|reboot|reload|bounce|relaunch) (only|just|) (the proxy|the server|postgres|the "
            "database|one part|a single part|one process)",
            "(apply|activate|use|load|reload) (a changed setting|new settings|a new configuration|my "
            "changes|the changed configuration|settings)",
            "make (a changed setting|my changes|new settings|the new configuration|the change) (take "
            "effect|work|active|count)",
        ),
        questions=(
            "(restart|restarting|reboot|reload|restart command|restart proxy|restart server)",
            "how (is|can|are) (it|one part|the proxy|the server|the appliance) (restarted|be "
            "restarted|reloaded)",
            "(when|how) (do|does|will) (a changed setting|changed settings|a new setting|my change|"
            "changes|the new value|settings|a setting) (take effect|"
            "become active|get applied|work)",
            "(I|we) (changed|edited|have changed|have edited|updated) (the configuration|a setting|"
            "config.env|the config file|the port|something)(|, what "
            "now|, now what|. What next|, how do I apply it|, what must I do)",
        ),
        weight=1.6,
    ),
    Topic(
        answers=answers.STATUS,
        actions=(
            "(see|show me|check|tell me) (if|whether) all (processes|parts|programs) (are running|run|"
            "are up|are well|are alive)",
            f"(see|check|find out|know|tell|verify|look|test) (if|whether|that) {_IT} (is running|"
            "runs|is up|is alive|works|is healthy|is "
            f"still running|is ok|is working|is still up)",
            f"(see|show|get|check|print|display|query) (the status|the state|the health) (of {_IT}|)",
            "(see|show|check|find out) (what is running|what runs|which parts run|how much memory it "
            "uses|how often it restarted|the uptime|"
            "which model is served|which processes run|which model is loaded)",
        ),
        questions=(
            "(status|state|health|status command|server status|show status|is it up|uptime|health "
            "check)",
            f"is {_IT} (running|up|alive|online|healthy|working|on|ok|still running|down)",
            f"(does|do) {_IT} (run|work) (right now|at the moment|)",
            "(which|what) (parts|processes|programs) (run|are running|are up)",
            "how (much memory|long) (does it use|has it been up|has it been running|does the server "
            "use)",
            "are all (parts|processes) (up|running|ok)",
            "which model is (being served|loaded|in use|running|active)",
        ),
        weight=1.6,
    ),
    Topic(
        answers=answers.LOGS,
        actions=(
            "(see|read|find|show|view|look at|check|open|get|print|display|inspect|follow|watch|"
            "tail) (the logs|the log|the log files|logs|a log|the log of "
            "the server|the log of the proxy|the server log|the proxy log|the error log|log files)",
            "(follow|watch|see|tail|stream|read) (the logs|the log|what it logs) (live|as they come|"
            "in real time|continuously|)",
            "(find|see|read|look up|know) (the error messages|error messages|errors|what went wrong|"
            "what the server says|why it failed|the cause of an error)",
        ),
        questions=(
            "(which|what) (place|path|spot|folder) do the logs (live in|go to|lie in|stand in|end up "
            "in)",
            "(where do|where does) (the logs|the log|logs|its messages|it) (live|go|end up|lie|write "
            "its logs|log to)",
            "(logs|log|log files|logfiles|error log|log output|log location|logs please|server log|"
            "tail logs)",
            "where (are|is|do I find|can I find|can I see|do I see|can I read|to find) (the logs|the "
            "log|the log files|logs|log files|the log file|error messages|"
            "the messages|errors)",
            "(in which|in what|which) (folder|directory|file|place) (are|has|holds|contains) the "
            "(logs|log files)",
            "(something|it) (went wrong|failed|crashed|does not work|is broken), where (can|do) I "
            "(look|read more|find out why|see why|see the errors|find the cause)",
            "does it (write|keep|have) (a log|logs|log files)",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.DOCTOR,
        actions=(
            "(look|search|hunt) for (faults|errors|problems|mistakes|something wrong) in (my setup|the "
            "installation|my installation|the setup|this)",
            "(check|examine|verify|inspect|diagnose|validate|test|review) (the installation|my "
            "installation|the setup|my setup|this installation|the "
            "install|whether the installation is healthy|whether all is installed|that all is set up "
            "right)",
            "(find|diagnose|debug|search|track down|investigate|detect) (a problem|problems|what is "
            "wrong|an issue|faults|a fault|errors in the setup)",
            "(run|use|do|get) (a check|a diagnosis|the doctor|a self-check|diagnostics|an "
            "installation check)",
        ),
        questions=(
            "(doctor|diagnosis|diagnostics|check installation|self check|installation check|"
            "troubleshooting|check my setup)",
            "(is|was) (my|the|this) (installation|setup|install) (ok|right|healthy|correct|complete|"
            "good|fine|sound|valid)",
            "what (does|is) (doctor|console.sh doctor|the doctor|./console.sh doctor|the doctor "
            "command) (do|for|)",
            "(something|my setup|the installation|it) (is wrong|is broken|does not work|seems "
            "broken)(|, how do I find out what|, how do I check|, what can "
            "I do)",
        ),
        weight=1.4,
    ),
    Topic(
        answers=("./console.sh test installs what the tests need and runs them all.",),
        actions=(
            "(run|start|execute|do|perform|launch) (the tests|all tests|your tests|the test suite|a "
            "test run|the unit tests|all the tests|tests|pytest)",
            "test (this project|the code|the software|everything|the appliance|llamaserve)",
        ),
        questions=(
            "(tests|run tests|test suite|testing|pytest|unit tests)",
            "(are|where are) there (any|some|) tests",
            "how (are|is|can) (the tests|the test suite|tests) (run|be run|started|executed)",
        ),
        weight=1,
    ),
    Topic(
        answers=answers.SERVICE,
        actions=(
            "(run|start|keep) (it|llamaserve|the appliance|this|the server) (in the foreground|under "
            "systemd|with systemd|in a container|as a service|in docker|as a "
            "systemd service|in a unit file)",
            "(make|write|set up|create|configure) (a systemd unit|a systemd service|a unit file|a "
            "service) (for it|for llamaserve|for this|)",
        ),
        questions=(
            "(systemd|foreground|run in foreground|systemd unit|systemd service|container|docker)",
            "(what|which command) (do|does|should) (systemd|a unit file|a container|my container|a "
            "systemd unit) (call|run|start|use)",
            "(does|can) (it|llamaserve) (run|work|be run) (with systemd|under systemd|in a container|"
            "in docker|as a service)",
            "what does (./console.sh run|console.sh run|the run command) do",
        ),
        weight=1,
    ),
    Topic(
        answers=(
            "./console.sh help lists the commands, and ./console.sh help COMMAND tells more about one.",
        ),
        actions=(
            "(see|list|show|find|get|learn) (the commands|all commands|every command|the available "
            "commands|a list of commands|what commands there are)",
            "(get|find|read) (help|more help|help on a command|help with a command|help for a command)",
        ),
        questions=(
            "(commands|help command|list commands|all commands|command list|usage of console.sh|"
            "console.sh|manual)",
            "(what|which) (commands|console commands) (are there|can I use|do you have|exist|does "
            "console.sh have|does it have)",
            "what (is|does) (console.sh|./console.sh|the console) (do|for|)",
            "what can console.sh do",
        ),
        weight=1,
    ),
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
