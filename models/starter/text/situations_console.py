"""Situations in which someone asks how the appliance is run, as people tell them.

`console.py` has the usual wordings of the same questions.
"""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.wording import Topic

_IT = (
    "(it|this|the server|llamaserve|everything|the thing|this thing|the machine|the service|the whole "
    "thing|"
    "the appliance|the box|the system|the software|all of it|the program|the engine)"
)
_MODEL = "(model|LLM|AI|GGUF|language model|GGUF file|brain)"
_MODEL_FILE = (
    "(mistral.gguf|qwen.gguf|llama.gguf|gemma.gguf|phi.gguf|model.gguf|my.gguf|llama3.gguf|"
    "smollm.gguf|big.gguf)"
)
_SMART = (
    "(smart|smarter|bigger|better|real|proper|grown-up|serious|decent|clever|cleverer|more "
    "intelligent|larger|"
    "stronger|good|capable|powerful|useful|full-size|more powerful|more capable|brighter|wiser)"
)
_FAMILY = (
    "(llama|llama 3|llama 3.2|mistral|qwen|qwen 3|gemma|phi|deepseek|smollm|smollm2|granite|mixtral|"
    "a llama|falcon)"
)
_WHAT_NOW = "(|, what now|. What now|, how|, what do I do|. What do I type|, help|, what next)"

TOPICS = (
    Topic(
        answers=answers.START,
        actions=(
            f"(fire|boot|start|bring|power|get|spin|wake|set|switch|turn) {_IT} (up|on|going)(| again|"
            " now|)",
            f"get {_IT} (going|running|started|to work|up|moving|rolling|off the ground|into "
            "operation|alive)",
            "(boot|launch|start|run|ignite|kick off|spin up|fire up|awaken|initiate|revive|bring "
            f"back|kickstart) {_IT}"
            f"(| again| after a reboot| after a crash| for the first time| please|)",
            "(put it to work|start working with it|get everything up and running|set it in motion|"
            "bring it back)",
        ),
        questions=(
            "(nothing|none of it|no process|no part) (is running|runs|works|is up|answers)(| yet| "
            f"now|){_WHAT_NOW}",
            "the (machine|computer|server|box|host|pc) (was rebooted|was restarted|rebooted|"
            "restarted|was off|lost power|"
            f"crashed)( and|,|.) ({_IT} is (gone|down|not there|off|away)|nothing runs|nothing "
            f"answers|{_IT} did not come "
            "back|bring it back|how do I get it back)(|, bring it back|, how do I get it back|, "
            "start it)",
            f"how (is|does one get|do you get) {_IT} (booted|up|launched|going|to start|brought up|"
            "powered up|running)",
            "(I|we) (just|) (cloned|downloaded|installed|unpacked|got) (it|llamaserve|the repository|"
            "this)(|, what next|,"
            " what now|. How do I begin|. What is the first command|, how does it go on)",
            "(fire it up|boot it|start it|get going|let's go|let us start|bring it up|power on|spin "
            "it up|go live|wake up)",
            f"{_IT} (is down|is off|went down|died|is dead|is not up|has stopped|was stopped)(|, "
            "start it|, bring it up|"
            ", get it up again|, how do I start it again)",
            "(what|which) is the (first command|first step|very first thing to do)",
        ),
        weight=2.2,
    ),
    Topic(
        answers=answers.STOP,
        actions=(
            "(kill|close|end|halt|stop|shut|quit|terminate|finish|turn off|power down|take offline|"
            "take down|bring down|"
            "put to sleep|shut down|exit|switch off|pull the plug on|cut|abort|close down|wind down|"
            f"exit) {_IT}"
            f"(| for the night| for today| properly| cleanly| gracefully| over the weekend| for good|)",
            f"(take|bring|shut|power|turn|switch|close|put) {_IT} (offline|down|off|to sleep|out of "
            "service|to rest)",
            "(free|release|get back) the (memory|RAM|machine|port|processor)(| that it (uses|"
            "occupies|takes|holds))"
            "(| and (end|stop|close|quit) it)",
        ),
        questions=(
            "(I am|I'm|we are|we're) (done|finished|through|ready)(| for today| for the day| with it|"
            " now|)(, | and |. )"
            "(how do I (close it down|end it|stop it|turn it off|shut it down|close it)|shut it down|"
            "turn it off|close it|"
            "stop it|power everything down)",
            f"{_IT} (should|must|has to|needs to|may) (go|be) (offline|down|off|quiet|to sleep|"
            "stopped|closed|ended)"
            f"(| now| tonight| over the weekend|)",
            "(I|we) (don't|do not) need it (any more|any longer|today|now|at night)(|, stop it|, "
            "turn it off|, how do I "
            "stop it)",
            "(shut it|kill it|end it|power off|take it down|offline please|lights out|stop now|halt|"
            "kill everything|"
            "shut up shop|close it)",
        ),
        weight=2.2,
    ),
    Topic(
        answers=answers.RESTART,
        actions=(
            f"(turn|switch) {_IT} off and on(| again)",
            "(stop and start|restart|reboot|bounce|cycle|recycle|reload|relaunch|refresh|reset) "
            f"{_IT}(| again| once| "
            "quickly| cleanly|)",
            "(make|let|get) (my|the|new|changed) (settings|configuration|config|changes|edits|values) "
            "(count|work|be read|"
            "be picked up|apply|take hold|be used|become active|be loaded)",
            "(reload|reread|re-read|apply|pick up|load|activate) (the|my|a new|a changed|new) "
            "(settings|config|"
            "configuration|config file|changes|port|value|edits)",
        ),
        questions=(
            "(my|the|the new|my new|changed) (settings|changes|configuration|config|edits|values|"
            "setting|change) (aren't|"
            "are not|isn't|is not|weren't|don't get|does not get|do not get|won't be) (picked up|"
            "applied|used|read|"
            "active|in effect|working|noticed|loaded|seen|taken over|there)(| yet|)",
            "(I|we) (changed|edited|set|modified|adjusted|touched|altered|saved|wrote|updated|added) "
            "(a|the|my|another) "
            "(port|setting|config|value|configuration|config file|limit in config.env|host|line in "
            "config.env|option)"
            "(| in the config| in config.env| in the settings|)(|, what next|, what now|. And now|, "
            "and then|. What do I do "
            "next|, but nothing happens|, but it is not used|, now what)",
            f"{_IT} (hangs|is stuck|acts strange|behaves oddly|needs a fresh start|is frozen|does "
            "strange things)"
            "(|, restart it|, how do I restart it|, turn it off and on)",
            "(reload|bounce it|off and on again|reboot it|a fresh start|restart it|how to reload|"
            "reload config|apply changes)",
            "(does|do|will) (it|settings|changes) (need|require) a restart",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.STATUS,
        actions=(
            "(check on|look after|have a look at|look at the state of|check up on|peek at|ask after) "
            f"{_IT}",
            f"(tell|see|check|know|find out|make sure|verify|learn) (whether|if|that) {_IT} (is|are) "
            "(up|alive|running|"
            "healthy|well|on|there|ok|online|in order|still alive|still there|loaded)",
            "(see|show|check|list|get) (what is|what's|which parts are|everything that is|what is "
            "currently) (running|"
            "up|alive|active|going on)",
        ),
        questions=(
            f"(is|are) (everything|all the parts|all parts|the parts|all processes|{_IT}|the proxy|"
            "the engine|the "
            "database|each part|all) (alive|healthy|up|running|ok|well|fine|in order|on|still up|in "
            "good health|online|"
            "going|there)(| still| now| today|)",
            f"how (can|do|could) I (tell|see|know|check|find out) (whether|if) {_IT} (is|are|was) (up|"
            "running|alive|on|well|"
            "down|healthy)",
            f"how is {_IT}(| doing| going| today)",
            "(what's|what is) (currently|now|still|) (running|up|alive|active|the state|the state of "
            "things|going on)",
            "(current state|alive|health|heartbeat|is it on|running|is it alive|state of the server|"
            "process list)",
            "(did|has) (it|the server|the engine) (crash|crashed|die|died|stop|stopped)(| again)",
        ),
        weight=1.9,
    ),
    Topic(
        answers=answers.LOGS,
        actions=(
            "(read|see|view|look at|find|get|inspect|study|show) (what|the text that|the messages|"
            "the output|the lines|"
            "everything) (the engine|the server|the proxy|it|postgres|the program) (printed|wrote|"
            "said|reported|prints|"
            "says|logged|writes|put out)",
            "(see|watch|follow|get|stream|view|show) (live output|the output live|the output|live "
            "messages|what happens "
            "live|what it is doing right now|the console output|what is going on live|new messages as "
            "they come)",
            "(find|see|get|read|look at|search for) (the|a) (trace|traceback|stack trace|backtrace|"
            "error output|crash "
            "report|error log|cause of the crash|error text|crash log)",
        ),
        questions=(
            "(it|the server|the engine|the proxy|everything|a process) (crashed|died|stopped|failed|"
            "broke|went down|quit)"
            "(| last night| yesterday| an hour ago| this morning| again|)(, |. | and )(where's|where "
            "is|where do I find|"
            "where can I read|show me) (the trace|the reason|the traceback|why|the cause|the error|"
            "the message|the log|"
            "what happened)",
            "where (are|is|do I see|do|can I find|does it put|do I read) (errors|the errors|error "
            "messages|the output|"
            "messages|warnings|the trace|its output|what it prints) (written to|written|kept|shown|go|"
            "printed|saved|put|)",
            "what did (the server|it|the engine|the proxy|the program) (say|print|write|report|"
            "complain about|put out)"
            "(| before it (died|crashed|stopped|ended|went down)| last| at the end| at the start|)",
            "(what happened|what went wrong|why did it stop|why did it die|why did it crash)(| last "
            "night| before|)",
            "(live output|debug output|console output|error output|messages of the engine|traceback|"
            "stderr|stdout)",
        ),
        weight=2,
    ),
    Topic(
        answers=answers.DOCTOR,
        actions=(
            "(run|do|perform|make|start|get) (a|some) (health check|check|diagnosis|checkup|check-up|"
            "self test|examination|"
            "inspection|sanity check) (of|on|for) (my|the|this) (installation|install|setup|"
            "configuration|system)",
            "(verify|check|make sure|confirm|test|validate) (that|whether|if) (I (set|installed|"
            "configured|did) (things|"
            "everything|it|all) (up|) (correctly|right|properly|well)|(everything|all) is (set up|"
            "installed|configured) "
            "(right|correctly|properly|well))",
            "(find out|see|learn|discover|diagnose|know|detect|figure out|tell me) (what's|what is) "
            "(broken|wrong|missing|"
            "amiss|misconfigured|not right|the problem|the matter)(| with it| with my setup| here| "
            "with this|)",
            "(troubleshoot|debug|diagnose|fix|repair|mend) (it|this|my setup|the installation|a "
            "problem|problems|my install)",
        ),
        questions=(
            "(something|anything|a thing) (is|seems|is not|looks) (off|wrong|broken|strange|fishy|odd|"
            "amiss|right) with "
            "(this|my|the) (install|installation|setup|configuration|system|machine)(|, can you find "
            "out what|, find it|"
            ", what is it|, how do I find out|, help)",
            "why (isn't|is not|does not|doesn't|won't) (this|it|llamaserve|anything|the setup|"
            "everything) (working|work|run|"
            "function|start|come up)(| properly| right| as it should| at all| correctly|)",
            "(what|is anything|is something) (is wrong|is missing|is broken|is the problem|wrong|"
            "missing|broken) (with|in) "
            "(my|this|the) (setup|installation|install|configuration|machine)",
            "(it|llamaserve|the installation) (does not|doesn't|won't) (work|start|run|function)(|, "
            "why|, what is wrong|"
            ", find out why|, diagnose it|, what can I check)",
            "(health check|sanity check|problem|problems|trouble|it is broken|check everything|"
            "diagnose|fix it|repair)",
        ),
        weight=1.9,
    ),
    Topic(
        answers=answers.PULL,
        actions=(
            "(get|fetch|download|pull|have|find|install|put|load|bring|obtain|want|grab) (a|an|some|"
            f"a much) {_SMART} "
            f"(one|{_MODEL}|{_MODEL}|thing)(| please| onto this box| on this machine| from the "
            "internet| here|)",
            f"(get|fetch|download|pull|install|put|load|have|bring|run|use|try|grab) {_FAMILY} (onto|"
            "on|to|for|in) (this|my|"
            "the) (box|machine|computer|server|system)",
            f"(get|fetch|download|pull|install|try|grab) {_FAMILY}(| please| now|)",
            "(get|find|download) more (models|model files|GGUF files)(| from the internet| from "
            "huggingface|)",
        ),
        questions=(
            "(you're|you are|this model is|it is|you seem|it's) (dumb|stupid|too small|too simple|"
            "useless|weak|silly|not "
            "smart|bad|not clever|an idiot|limited|so dumb), (I want|give me|get me|I need|how do I "
            "get|where is|we need|"
            f"can I get) (a|something) {_SMART}( one| {_MODEL}|)",
            "(I'd like|I want|I need|give me|we need|get me|I would like|we want|how about) (a|an|"
            f"some|something) {_SMART}"
            f"( one| {_MODEL}|)(| please| now| instead| instead of you|)",
            f"where do (models|the models|{_MODEL} files|GGUF files|bigger models|better models|real "
            "models) come from",
            f"(how|where) (can|do|could|would) (I|we) (get|find|download|obtain|fetch) ({_FAMILY}|a "
            f"{_SMART} {_MODEL}|a "
            f"{_SMART} one|models)(| onto this box| for it| from|)",
            f"(a|one) {_SMART} ({_MODEL}|one)(| please)",
            "(huggingface|hugging face|ollama pull|model zoo|model catalogue|downloading a model|"
            "download gguf)",
        ),
        weight=2.2,
    ),
    Topic(
        answers=answers.USE,
        actions=(
            "(swap|exchange|switch|change|replace|flip|alter|trade) (the|this|our|my|its|the current|"
            f"the loaded) {_MODEL}"
            "(| for another| for a different one| with another one| out| over|)",
            "(make|let|have) (it|the server|llamaserve|the engine) (serve|use|load|run|answer with|"
            "take|host) "
            f"({_MODEL_FILE}|another {_MODEL}|the other {_MODEL}|my own {_MODEL}|a different file|the "
            "second one)(| instead|)",
            f"(serve|load|use|run|activate|select|host|put in|choose) ({_MODEL_FILE}|the other one|"
            f"the second {_MODEL}|the "
            f"other {_MODEL}|a different one|another one|the one I downloaded)(| instead| now| from "
            "now on|)",
            "(flip|switch|change|move|go over|hop|turn) (to|over to|back to) (the other|the second|"
            "another|the first|my own|"
            f"the old|the big) (one|{_MODEL})",
            f"(pick|choose|select|decide|determine|set|say) which (model|{_MODEL}|file|one) (answers|"
            "is served|is used|is "
            "loaded|runs|replies|to serve|to use)",
        ),
        questions=(
            "(I|we) (have|own|got|keep|downloaded|possess) (two|three|several|both|a few|many|some) "
            "(models|GGUF files|LLMs)"
            "(, how do I|. How do I|, how can I|, let me) (flip|switch|change|go|move|swap) (to|"
            "between) (the second|the "
            "other|them|another|the first)(| one|)",
            f"(load|use|serve|take|run|I want) the other (one|{_MODEL}|file)",
            f"(I|we) want {_MODEL_FILE}(| to be served| instead| to answer| now| to be used|)",
            "(model swap|swap model|other model|different model|switch models|change LLM|swap it|"
            "exchange the model)",
            "can (it|I|we) (serve|use|switch to|change to) (another|a different) (model|one|"
            f"{_MODEL})(| without a restart|)",
        ),
        weight=2.2,
    ),
    Topic(
        answers=answers.BACKUP,
        actions=(
            "(keep|make|bring|put|move|copy) (my users|everything|the data|the database|all keys|all "
            "accounts|my data|it all)"
            " (safe|to a safe place|somewhere safe|to another disk|to a usb stick|into a file|in "
            "safety|elsewhere)",
            "(export|save|dump|archive|back up|secure|copy|store|write) (everything|all|the data|the "
            "database|all data|users "
            "and keys|my users|the records|the whole state|it all|all users) (to|into|in|onto) (a "
            "file|one file|a disk|an "
            "archive|another machine|a usb stick|a safe place)",
            "(take|make|create|get|do|schedule|set up) (a|daily|nightly|regular|weekly|a full|an) "
            "(snapshot|snapshots|backup|"
            "backups|copy|copies|export|safety copy)(| of all (the|) data| of the database| of "
            "everything| of my users|)",
            "(restore|recover|bring back|import|load|read) (a backup|the backup|my users|everything|"
            "the data|my data|a "
            "snapshot)(| from a file| on another machine| after a crash|)",
            "(move|migrate|transfer|carry|bring) (it|everything|llamaserve|my users|all data) to "
            "(another|a new|a second) "
            "(machine|computer|server|disk)",
        ),
        questions=(
            "what if (the|my) (disk|machine|drive|server|computer|hard drive|ssd) (dies|breaks|fails|"
            "burns|crashes|is lost|"
            "is stolen)(|, how do I keep my users safe|, is my data gone|, are the users lost|, what "
            "then)",
            "(nightly|daily|regular|weekly|automatic|automated) (backups|backup|snapshots|copies|"
            "exports|saves)",
            "(can|may|how do|how can) I (take|make|get|have) a (snapshot|copy|backup|dump|safety "
            "copy) of (all the data|all "
            "data|everything|the database|it|users and keys|the state)",
            "(disaster recovery|data loss|safety copy|snapshot|restore|restoring|restore a backup|"
            "export data|migration)",
            "(I|we) (fear|am afraid|worry) (to lose|of losing|about losing) (the data|my users|"
            "everything|all keys)",
        ),
        weight=1.8,
    ),
    Topic(
        answers=answers.SERVICE,
        actions=(
            "(start|run|launch|have|let) (it|llamaserve|the appliance|everything) (start|) (at boot|"
            "on boot|with the machine|"
            "at startup|automatically|when the machine boots|after every reboot|by itself after a "
            "reboot|by systemd)",
            "(install|set up|create|add|register|make) (a|the|it as a) (service|systemd service|"
            "systemd unit|system service)",
            "(make|let) it (survive|come back after|start after) (a reboot|reboots|every reboot|a "
            "power cut)",
        ),
        questions=(
            "(autostart|start at boot|start on boot|boot|at startup|systemctl|service|as a service|"
            "daemon)",
            "(does|will|can) it (start|come back|run) (by itself|automatically|alone) (after a reboot|"
            "at boot|when the machine "
            "starts)",
        ),
        weight=1,
    ),
    Topic(
        answers=answers.UPGRADE,
        actions=(
            "(install|get|fetch|move to|go to|switch to|apply) (the|an|a) (update|newest release|"
            "latest version|new release|"
            "upgrade|newer llamaserve|latest)",
        ),
        questions=(
            "(is there|are there) (an update|updates|anything newer|a newer release)(|, how do I get "
            "it)",
            "(my|this|the) version is (old|outdated|too old)(|, how do I update|, what now)",
            "what (happens|is) (if|when) an (upgrade|update) fails",
        ),
        weight=0.8,
    ),
    Topic(
        answers=answers.UNINSTALL,
        actions=(
            "(uninstall|remove|delete|deinstall|get rid of|wipe|clean up) (llamaserve|the appliance|"
            "the software|it from my "
            "machine|the whole installation|this software|it completely|all of llamaserve|it from "
            "this computer)",
        ),
        questions=(
            "(uninstall|uninstalling|deinstall|uninstall it|removal of llamaserve|remove llamaserve)",
            "how (is|can) (it|llamaserve|the appliance) (uninstalled|be uninstalled|removed from this "
            "machine|be removed from "
            "the machine)",
            "(what|which files) does uninstall (remove|delete|do|leave)",
            "I (don't|do not) want (llamaserve|this software) on my (machine|computer|disk) any more",
        ),
        weight=0.9,
    ),
)
