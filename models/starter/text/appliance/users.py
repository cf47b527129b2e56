"""Questions about users."""

from __future__ import annotations

from models.starter.text import answers
from models.starter.text.appliance.people import SOMEONE, USER
from models.starter.text.wording import Topic

_A_USER = f"(a|the|one|some) {USER}"

TOPICS = (
    Topic(
        answers=answers.LIST_USERS,
        actions=(
            "(print|show|display|enumerate|name|read out|count|see|list) (every|each|any) (user|"
            "account|person) (there is|that exists|I have|that we have|)",
            "(print|show|name|see) (all the|all) (users|accounts) (there are|that exist|we have|on "
            "this machine)",
            "(list|see|show|view|display|get|print|find|look at|count) (all|all the|the|all of the|"
            "my|every|our) "
            "(users|accounts|user accounts|people)",
            "(get|see|show|print|have) a (list|table|overview) of (all|the|all the|my|) (users|"
            "accounts|people with access)",
            "(see|find out|know|check|look up) (who|which people|which users) (has access|have "
            "access|exist|has an account|there "
            "are|has a key|is registered|are registered)",
        ),
        questions=(
            "(who|which people|which users) (has|have|got) (access|an account|a key|accounts) (here|"
            "to this|)",
            "(list users|user list|all users|list of users|users|show users|list accounts|list all)",
            "(which|what|how many) (users|accounts) (are there|do I have|exist|do we have|have I got|"
            "have been created|are registered)",
            "who (are|is) (my|the|our|all) (users|user)",
            "who (can|may) use (the model|this|the API)",
        ),
        weight=1.5,
    ),
    Topic(
        answers=(f"{answers.CLI} show-user --username NAME shows a user's limits and keys.",),
        actions=(
            "(see|show|view|display|look at|get|print|inspect|find) (the details|details|information|"
            "the data|everything|the "
            "keys|the limits|the key list) (of|about|for) (a|one|a single|some) user",
            "(show|see|inspect|look up|view|display|examine) (a|one|a single|a certain|a particular) "
            "(user|account|user only)",
            "(see|show|list|find|look up) (a user's|someone's|alice's|bob's|the user's) (keys|limits|"
            "details|settings|public id|data)",
            "(find|see|look up|get) the public id of a key",
        ),
        questions=(
            "(show user|user details|show one user|details of a user|info about a user|user info)",
            "(which|what|how many) (keys|limits) (does|has) (a user|one user|alice|bob|someone) "
            "(have|got|)",
            "what are (the|a user's|someone's|alice's) (limits|keys) (of a user|)",
            "(where|how) do I (find|see) (the public id|a key's id|the id of a key)",
        ),
        weight=1.3,
    ),
    Topic(
        answers=answers.DEACTIVATE_USER,
        actions=(
            "(keep|stop|prevent|hinder|hold|exclude) (this|that|a|one|some) (person|user|student|"
            "client) from (using|calling|accessing|reaching) (the model|it|this|the API) (until monday|"
            "until next week|for now|for a day|till tomorrow|)",
            "(put|set) (a user|an account|someone) on hold",
            "(deactivate|disable|suspend|lock|block|ban|pause|freeze|stop|shut out|lock out|switch "
            f"off) {SOMEONE}",
            "(deactivate|disable|suspend|block|freeze|lock|pause) (a user|an account|a user account|"
            "someone's account|users) (for a "
            "while|for now|temporarily|for some time|at once|for a week|)",
            f"(lock|shut|keep) {SOMEONE} out (for a while|for now|temporarily|for some time|)",
            "(stop|keep|prevent) (a user|someone|somebody|a person) from (using the model|using it|"
            "sending requests|using this)",
            "(take away|suspend|block|turn off|disable|stop) (someone's|a user's|the|alice's|a "
            "person's|his) access "
            "(for a while|for now|temporarily|to the model|of a user|)",
        ),
        questions=(
            "(this|that|a|one) (person|user|student) (is not to|must not|should not|may not|shall not) "
            "(use it|use the model|have access|get in|send requests) (until monday|this week|any more|"
            "for now|for a while|today|)",
            "(deactivate user|deactivation|disable user|block user|suspend user|lock user|ban user|"
            "deactivate)",
            "how (is|can|are) (a user|users|someone|an account) (deactivated|be deactivated|disabled|"
            "be blocked|locked out|be locked)",
            "(a user|someone|one of them) (misbehaves|should not use it for now|must be stopped|uses "
            "too much, stop him|must not "
            "come in for a week)",
            "what does (deactivate-user|deactivating a user|deactivate) do",
        ),
        weight=1.7,
    ),
    Topic(
        answers=answers.ACTIVATE_USER,
        actions=(
            "(enable|unlock|activate|let in|turn on|admit) (the|a|that) (user|person|account) again "
            "(that|whom|who) (I disabled|I blocked|was deactivated|I locked out|was disabled|I "
            "deactivated)",
            "(enable|turn on|switch on|restore|open) (a|the|an|someone's) (user|account|user account|"
            "access) (again|once more|anew)",
            "(activate|reactivate|re-enable|unblock|unlock|enable|unban|unfreeze|reinstate|readmit) "
            "(a|the|a deactivated|a "
            "blocked|a locked|a suspended|this|my) (user|account|user account|person)",
            "(activate|reactivate|unblock|unlock|re-enable) (someone|alice|bob|users|him|her|"
            "somebody) (again|)",
            "let (a user|someone|a deactivated user|a blocked user|him|her|alice|a person) (in|back "
            "in|come back|in again)",
            "(give|allow|restore) (a deactivated|a blocked|a locked out|a suspended) (user|person) "
            "(access again|access|back his access)",
            "(undo|reverse|lift|take back|end) (a deactivation|the deactivation of a user|the block "
            "of a user|the ban of a user)",
        ),
        questions=(
            "(activate user|reactivate|reactivation|unblock user|unlock user|activate|enable user)",
            "how (is|can) a (deactivated|blocked|locked|) user (be activated|reactivated|be let in "
            "again|activated|unlocked) (again|)",
            "(a|the|my) user (was|is|has been) (deactivated|blocked|locked|locked out), (how do I "
            "undo that|how do I let him in|how "
            "can she come back|and should come back)",
            "(the user|he|she|this person|alice) (may|should|can|is allowed to) (come back|use it "
            "again|return) (now|again|)",
        ),
        weight=1.5,
    ),
    Topic(
        answers=answers.DELETE_USER,
        actions=(
            "(wipe|destroy|eliminate|clear|discard|scrap|wipe out|terminate|cancel) (a user|an account|"
            "the user|one user|users|a user account) (and everything|and all that belongs to him|with "
            "all the data|completely|with the keys|for ever|)",
            "(delete|remove|erase|drop|get rid of|kick out|throw out|purge) (a|the|an old|one|my|a "
            "former) "
            f"(user|account|user account|user|{USER})",
            "(delete|remove|erase|drop) (users|accounts|someone|alice|bob|a user) (for good|for ever|"
            "completely|entirely|permanently|)",
            f"(delete|remove|erase|drop) {_A_USER} (and|with|together with) (all|all of|) (keys|the "
            "keys|their keys|his keys)",
            "(take|strike) (a user|someone|an account) (off the list|out|out of the system|off)",
        ),
        questions=(
            "(delete user|remove user|user deletion|deleting users|delete account|remove account|"
            "erase user)",
            "how (is|can|are|does) (a user|users|an account|someone|accounts) (deleted|be deleted|"
            "removed|be removed|get deleted|get "
            "removed)",
            "(a|the|one) (user|student|colleague|member) (has left|left|is leaving|is gone|quit)(|, "
            "how do I delete the account|, how "
            "do I remove him|, remove the account)",
            "what (happens|becomes) (to|of|with) the records (when|if|after) (I delete a user|a user "
            "is deleted)",
            "(do|are) (the|) records (stay|kept) when a user is deleted",
        ),
        weight=2,
    ),
)
