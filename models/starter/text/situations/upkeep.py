"""Situations in which someone asks about models, backups and upgrades."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.wording import Topic

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

TOPICS = (
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
