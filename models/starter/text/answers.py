"""Answers to which more than one module has questions."""

from __future__ import annotations

CLI = "./bin/user_management_cli.sh"

CREATE_USER = (f"{CLI} create-user --username NAME makes a user and prints the key, once.",)
ROTATE_KEY = (
    f"{CLI} rotate-key --username NAME puts a new key in the place of the old one. "
    "With --grace 1h the old key works for one more hour.",
)
LOST_KEY = (
    f"A key is shown once and stored nowhere. {CLI} rotate-key --username NAME makes a new one.",
)
REVOKE_KEY = (
    f"{CLI} revoke-key --username NAME --key PUBLIC_ID makes one key useless at once. "
    "show-user lists the keys.",
)
LIST_USERS = (f"{CLI} list-users lists all users, with their limits and the time of their last use.",)
DEACTIVATE_USER = (
    f"{CLI} deactivate-user --username NAME shuts a user out at once. activate-user lets the user in "
    "again.",
)
ACTIVATE_USER = (f"{CLI} activate-user --username NAME lets a deactivated user in again.",)
DELETE_USER = (f"{CLI} delete-user --username NAME deletes a user and all keys. The records stay.",)
SET_LIMITS = (
    f"{CLI} set-limits --username NAME --rate-limit 600 --rate-window-seconds 3600 "
    "allows a user 600 requests in any hour.",
)
USAGE = (f"{CLI} usage --since 7d --by user shows requests, tokens and latency of each user.",)

START = ("./console.sh start starts everything and waits until it serves.",)
STOP = (
    "./console.sh stop stops everything: first the proxy, when its requests have ended, then "
    "the server and the database.",
)
RESTART = (
    "./console.sh restart restarts everything, so that changed settings take effect. "
    "./console.sh restart proxy restarts one part.",
)
STATUS = (
    "./console.sh status shows what runs and how it is: state, memory, restarts, health and model.",
)
LOGS = (
    "./console.sh logs shows the logs, and ./console.sh logs -f follows them. The files are in "
    "runtime/logs.",
)
DOCTOR = ("./console.sh doctor checks the installation and says what is wrong with it.",)
PULL = ("./console.sh pull downloads a real model, and ./console.sh use FILE switches to it.",)
USE = (
    "./console.sh use FILE switches to another model. ./console.sh models lists those that are there.",
)
BACKUP = (
    "./console.sh backup FILE writes users, keys, records and settings to one file. "
    "./console.sh restore FILE brings them back.",
)
UPGRADE = (
    "./console.sh upgrade gets the newest version and serves it. If it fails, the old one serves on.",
)
SERVICE = (
    "./console.sh service install makes systemd start it with the machine. "
    "./console.sh run does the same as start, in the foreground.",
)
UNINSTALL = ("./console.sh uninstall stops it and removes what it has made. It asks first.",)

NETWORK = (
    "Set LLAMA_PROXY_HOST=0.0.0.0 and TLS in runtime/config.env, then ./console.sh restart. "
    "Leave the model server on 127.0.0.1.",
)
API = (
    "Send requests to http://127.0.0.1:8001/v1/chat/completions with the user's key as bearer key. "
    "For OpenAI's client, base_url is http://127.0.0.1:8001/v1.",
)
STATUS_429 = (
    "A 429 means that the user's rate limit is reached. Wait as long as retry-after says, or "
    "raise it with set-limits.",
)
