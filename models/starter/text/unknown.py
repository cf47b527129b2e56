"""Questions that the model cannot answer, of as many kinds as can be thought of."""

from __future__ import annotations

from collections.abc import Callable

from models.starter.text.facts import Thread
from models.starter.text.unknown_kinds import KINDS
from models.starter.text.wording import Chance, expand

ANSWER = (
    "I do not know that: I am only a small starter model. "
    "Ask me about this appliance, or get a real model with ./console.sh pull."
)
_THINGS = """
love war peace music football chess gravity electricity evolution democracy inflation history
philosophy poetry photosynthesis relativity physics chemistry biology economics art religion the
economy the stock market bitcoin blockchain the moon black holes dinosaurs volcanoes earthquakes the
weather climate change the internet computers python java javascript rust linux windows git html sql
kubernetes machine learning neural networks robots cars trains planes ships bicycles rockets
satellites mathematics algebra calculus prime numbers fractions statistics probability geometry
shakespeare mozart beethoven picasso einstein newton napoleon caesar cleopatra the romans the middle
ages the french revolution world war two the cold war the roman empire the bible the olympics
basketball tennis swimming running yoga cooking baking bread pizza pasta soup risotto curry sushi
cheese wine beer coffee tea chocolate cake gardening flowers trees roses tomatoes horses birds
whales sharks wolves elephants my dog my cat my car my house my job my boss my father my mother my
brother my sister my wife my husband my children my homework my essay my thesis my taxes my phone my
computer happiness sadness fear anger friendship marriage death dreams sleep health medicine cancer
a headache a cold the flu vitamins exercise the brain the heart blood pressure blood cells DNA genes
viruses bacteria vaccines hospitals schools universities teachers students books novels films movies
actors singers painters paintings museums castles bridges towers cities villages rivers mountains
oceans islands deserts forests the sahara the alps the amazon the nile everest london life paris
life new york tokyo life travel holidays hotels airports tickets passports money banks loans
mortgages insurance taxes laws lawyers courts police crime politics elections presidents kings
queens governments parliament the president the prime minister the pope the united nations the
meaning of life the future the past time space the universe the big bang atoms quantum physics light
sound heat energy oil gas solar power wind turbines batteries engines a poem a story a song a letter
an email a speech a recipe a joke about cats a summary
""".replace("\n", " ")
_MULTI = (
    "the economy|the stock market|black holes|climate change|machine learning|neural networks|prime "
    "numbers|the romans|"
    "the middle ages|the french revolution|world war two|the cold war|the roman empire|the bible|the "
    "olympics|my dog|my cat|"
    "my car|my house|my job|my boss|my father|my mother|my brother|my wife|my homework|my essay|my "
    "thesis|my taxes|a headache|"
    "the flu|the brain|the heart|blood pressure|the sahara|the alps|the amazon|the nile|mount "
    "everest|the president|"
    "the prime minister|the pope|the united nations|the meaning of life|the future|the universe|the "
    "big bang|quantum physics|"
    "solar power|wind turbines|the weather|general relativity|quantum mechanics|the industrial "
    "revolution|human rights|"
    "artificial intelligence|the eiffel tower|string theory|ancient egypt|the human body|modern art|"
    "jazz music|a good life|"
    "the theory of evolution|the stone age|special relativity|supply and demand|the speed of light|"
    "the second world war"
)
THINGS = tuple(
    dict.fromkeys(
        [
            *_MULTI.split("|"),
            *(
                w
                for w in _THINGS.split()
                if len(w) > 3 and w not in ("life", "about", "middle", "world")
            ),
        ]
    )
)
_PLACES = (
    "atlantis|narnia|gondor|mordor|hogwarts|utopia|wonderland|mars|texas|california|bavaria|sicily|"
    "tuscany|mali|chad|fiji|laos|"
    "malta|oman|qatar|bhutan|the moon|florida|ruritania|elbonia|wakanda|barbados|samoa|tonga|nauru|"
    "kiribati|palau|venus|alaska|"
    "siberia|quebec|ontario|andalusia|provence|burgundy|westeros|the shire|asgard|el dorado|camelot|"
    "bolivia|paraguay|panama|angola|"
    "zambia|zimbabwe|mongolia|jordan|syria|yemen|libya|sudan|somalia|uganda|rwanda|cameroon|jamaica|"
    "haiti|honduras|belize"
)
_LANGUAGES = (
    "(spanish|french|german|italian|chinese|japanese|russian|latin|greek|arabic|dutch|polish|english|"
    "hindi|korean|swedish)"
)
_PEOPLE = (
    "(the president|the prime minister|the king|the mayor|the best player|the author|the inventor|"
    "the director|the singer|the winner|"
    "the founder|the ceo|the first man|the coach|the owner|the chancellor|the queen|the richest man|"
    "the discoverer|the painter|the leader|the captain)"
)
_FOREIGN = (
    "Wie geht es dir|Was ist das|Wer bist du|Wo ist der Bahnhof|Ich möchte ein Gedicht|Kannst du mir "
    "helfen|Wie heißt du|"
    "Was kannst du|Guten Tag, wie spät ist es|Wie viel kostet das|Erzähle mir eine Geschichte|Was "
    "ist die Hauptstadt von Frankreich|"
    "Wie lege ich einen Benutzer an|Comment ça va|Qui es-tu|Quelle heure est-il|Où est la gare|Je "
    "voudrais un poème|"
    "Pouvez-vous m'aider|Quelle est la capitale de la France|Comment créer un utilisateur|¿Cómo "
    "estás|¿Quién eres|¿Qué hora es|"
    "¿Dónde está la estación|Quiero un poema|¿Puedes ayudarme|¿Cuál es la capital de España|Come "
    "stai|Chi sei|Che ore sono|"
    "Dove si trova la stazione|Vorrei una poesia|Puoi aiutarmi|Hoe gaat het|Wie ben je|Wat is dit|"
    "Hur mår du|Vem är du|"
    "Как дела|Кто ты|Сколько времени|Что это такое|你好|你是谁|今天天气怎么样|"
    "こんにちは|あなたは誰ですか|안녕하세요|مرحبا|"
    "Γεια σου|Jak się masz|Kim jesteś|Wie funktioniert das|Warum ist der Himmel blau|Pourquoi le "
    "ciel est bleu|Olá, tudo bem|Quem é você"
).split("|")


def unknown(chance: Chance) -> Thread:
    """One question, foreign text, nonsense, or a long text without any question."""
    kind = chance.below(100)
    if kind < 82:
        question = _filled(chance, chance.weighted(KINDS))
    elif kind < 86:
        question = chance.pick(_FOREIGN)
    elif kind < 91:
        question = " ".join(_word(chance) for _ in range(chance.between(1, 5)))
    elif kind < 94:
        question = "".join(
            chance.pick("asdfghjklqwertyuiopzxcvbnm1234567890!?#$%&/()=+*;:_-")
            for _ in range(chance.between(2, 14))
        )
    elif kind < 97:
        question = " ".join(_filled(chance, chance.weighted(KINDS)) for _ in range(chance.between(2, 3)))
    else:
        question = " ".join(
            chance.pick((_word(chance), chance.pick(THINGS))) for _ in range(chance.between(8, 60))
        )
    return [(question, ANSWER)]


def _filled(chance: Chance, pattern: str) -> str:
    for slot, choices in (("LANGUAGE", _LANGUAGES), ("SOMEBODY", _PEOPLE)):
        pattern = pattern.replace(slot, choices)
    text = expand(chance, pattern)
    fills: dict[str, Callable[[], str]] = {
        "THING": lambda: chance.pick(THINGS),
        "PLACE": lambda: chance.pick(_PLACES.split("|")),
        "NAMELAND": lambda: _word(chance).capitalize() + chance.pick(("ia", "land", "stan", "a", "o")),
        "NAME": lambda: _word(chance).capitalize(),
        "NUM": lambda: str(chance.below(500)),
    }
    for slot, fill in fills.items():
        while slot in text:
            text = text.replace(slot, fill(), 1)
    return text


def _word(chance: Chance) -> str:
    """A word that there is not."""
    parts = [
        chance.pick(
            "b c d f g h j k l m n p r s t v w z br ch cl dr fl gr kr pl qu sh sk st str th tr".split()
        )
        + chance.pick("a e i o u ai ea ee ou oo".split())
        + chance.pick(["", "", "n", "r", "s", "l", "m", "t", "ck", "nd", "x"])
        for _ in range(chance.between(1, 3))
    ]
    return "".join(parts)
