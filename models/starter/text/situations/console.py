"""Situations in which someone asks how the appliance is run."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.wording import Topic

_IT = (
    "(it|this|the server|llamaserve|everything|the thing|this thing|the machine|the service|the whole "
    "thing|"
    "the appliance|the box|the system|the software|all of it|the program|the engine)"
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
)
