"""Questions about the commands that run the appliance: start, stop, logs and the like."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.wording import Topic

_IT = (
    "(the appliance|llamaserve|Llamaserve|the server|the system|everything|it|this|this thing|the "
    "service|the whole thing|"
    "the model server|this appliance|the program|the software)"
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
)
