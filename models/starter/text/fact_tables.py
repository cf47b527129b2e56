"""What the facts are: tables, and questions with one answer each."""

from __future__ import annotations

from models.starter.text.wording import Topic

CAPITALS = dict(
    pair.split(":")
    for pair in (
        "France:Paris,Germany:Berlin,Spain:Madrid,Italy:Rome,Portugal:Lisbon,Greece:Athens,Austria:Vienna,Poland:Warsaw,"
        "Hungary:Budapest,Ireland:Dublin,Sweden:Stockholm,Norway:Oslo,Denmark:Copenhagen,Finland:Helsinki,Iceland:Reykjavik,"
        "Belgium:Brussels,Russia:Moscow,Ukraine:Kyiv,Turkey:Ankara,Egypt:Cairo,Kenya:Nairobi,Nigeria:Abuja,Morocco:Rabat,"
        "Ethiopia:Addis Ababa,Ghana:Accra,China:Beijing,Japan:Tokyo,India:New Delhi,South "
        "Korea:Seoul,Thailand:Bangkok,"
        "Vietnam:Hanoi,Indonesia:Jakarta,Iran:Tehran,Iraq:Baghdad,Israel:Jerusalem,Canada:Ottawa,"
        "Mexico:Mexico "
        ""
        ""
        ""
        "City,"
        "Brazil:Brasilia,Argentina:Buenos "
        "Aires,Chile:Santiago,Peru:Lima,Colombia:Bogota,Cuba:Havana,Venezuela:Caracas,"
        "Uruguay:Montevideo,Ecuador:Quito,Australia:Canberra,New "
        "Zealand:Wellington,Czechia:Prague,Romania:Bucharest,"
        "Bulgaria:Sofia,Serbia:Belgrade,Croatia:Zagreb,Switzerland:Bern,the Netherlands:Amsterdam,"
        "the United States:Washington,the United "
        "Kingdom:London,England:London,Scotland:Edinburgh,Nepal:Kathmandu,"
        "Pakistan:Islamabad,Tunisia:Tunis,Algeria:Algiers,Senegal:Dakar,Estonia:Tallinn,Latvia:Riga,Lithuania:Vilnius"
    ).split(",")
)
COLOURS = {
    "the sky": "blue",
    "grass": "green",
    "snow": "white",
    "blood": "red",
    "a banana": "yellow",
    "a lemon": "yellow",
    "coal": "black",
    "the sun": "yellow",
    "a tomato": "red",
    "milk": "white",
    "a strawberry": "red",
    "a carrot": "orange",
    "chocolate": "brown",
    "the sea": "blue",
    "a leaf": "green",
    "the night": "black",
    "a cucumber": "green",
    "a flamingo": "pink",
    "an elephant": "grey",
    "a polar bear": "white",
    "salt": "white",
    "gold": "yellow",
    "a cherry": "red",
}
SOUNDS = {
    "cow": "moo",
    "dog": "woof",
    "cat": "meow",
    "sheep": "baa",
    "duck": "quack",
    "pig": "oink",
    "horse": "neigh",
    "lion": "roar",
    "bee": "buzz",
    "frog": "croak",
    "snake": "hiss",
    "mouse": "squeak",
}
LEGS = {
    "dog": "four",
    "cat": "four",
    "cow": "four",
    "horse": "four",
    "sheep": "four",
    "pig": "four",
    "lion": "four",
    "llama": "four",
    "elephant": "four",
    "bird": "two",
    "duck": "two",
    "human": "two",
    "chicken": "two",
    "spider": "eight",
    "bee": "six",
    "ant": "six",
    "fly": "six",
    "snake": "no",
    "fish": "no",
    "frog": "four",
    "mouse": "four",
}
YOUNG = {
    "dog": "puppy",
    "cat": "kitten",
    "cow": "calf",
    "horse": "foal",
    "sheep": "lamb",
    "pig": "piglet",
    "duck": "duckling",
    "lion": "cub",
    "llama": "cria",
    "goat": "kid",
    "bear": "cub",
}
OPPOSITES = dict(
    pair.split(":")
    for pair in (
        "hot:cold,big:small,good:bad,fast:slow,old:new,young:old,high:low,long:short,light:dark,day:night,up:down,left:right,"
        "open:closed,full:empty,rich:poor,strong:weak,easy:hard,wet:dry,happy:sad,loud:quiet,hard:soft,near:far,early:late,"
        "black:white,yes:no,in:out,thick:thin,clean:dirty,cold:hot,small:big,bad:good,slow:fast,true:false,first:last,"
        "love:hate,war:peace,heavy:light,begin:end,win:lose,buy:sell,north:south,east:west,wide:narrow,deep:shallow"
    ).split(",")
)
DAYS = "Monday Tuesday Wednesday Thursday Friday Saturday Sunday".split()
MONTHS = "January February March April May June July August September October November December".split()

SINGLE = (
    Topic(
        answers=("A week has seven days.",),
        questions=(
            "how many days (are there in|are in|has|does|make|make up|are there in|in) a week( have| "
            "has|)",
            "(number of|count the) days (in|of) a week",
            "how (long|many days long) is a week",
        ),
    ),
    Topic(
        answers=("The days are Monday, Tuesday, Wednesday, Thursday, Friday, Saturday and Sunday.",),
        questions=(
            "(list|name|tell me|give me|say|what are|which are) (the|all|all the|the seven) (days|week "
            "days|days of the week)",
            "(days of the week|weekdays)",
        ),
    ),
    Topic(
        answers=("A year has twelve months.",),
        questions=(
            "how many months (are there in|are in|has|does|make|make up|in) a year( have|)",
            "number of months (in|of) a year",
        ),
    ),
    Topic(
        answers=("A year has 365 days, a leap year 366.",),
        questions=(
            "how many days (are there in|are in|has|does|make|in) a (year|leap year)( have|)",
            "how long is a year",
        ),
    ),
    Topic(
        answers=("A day has 24 hours.",),
        questions=(
            "how many hours (are there in|are in|has|does|make|in) a day( have|)",
            "how long is a day",
        ),
    ),
    Topic(
        answers=("An hour has 60 minutes.",),
        questions=(
            "how many minutes (are there in|are in|has|does|make|in) an hour( have|)",
            "how long is an hour",
        ),
    ),
    Topic(
        answers=("A minute has 60 seconds.",),
        questions=(
            "how many seconds (are there in|are in|has|does|make|in) a minute( have|)",
            "how long is a minute",
        ),
    ),
    Topic(
        answers=("The seasons are spring, summer, autumn and winter.",),
        questions=(
            "(list|name|tell me|what are|which are) (the|all|the four) seasons( of the year|)",
            "how many seasons (are there|has a year|does a year have)",
            "seasons",
        ),
    ),
    Topic(
        answers=("The sun has eight planets.",),
        questions=(
            "how many planets (are there|does the sun have|are in the solar system|has the sun|orbit "
            "the sun)",
        ),
    ),
    Topic(
        answers=("Jupiter is the largest planet.",),
        questions=(
            "(what|which) (is|planet is) the (largest|biggest|greatest) (planet|of all planets|)",
            "the (largest|biggest) planet",
        ),
    ),
    Topic(
        answers=("A triangle has three sides.",),
        questions=("how many (sides|corners|edges) (has|does|are in|are there in) a triangle( have|)",),
    ),
    Topic(
        answers=("A square has four sides.",),
        questions=("how many (sides|corners|edges) (has|does|are in|are there in) a square( have|)",),
    ),
    Topic(
        answers=("The English alphabet has 26 letters.",),
        questions=(
            "how many letters (has|does|are in|are there in) the (English |)alphabet( have|)",
            "number of letters in the alphabet",
        ),
    ),
    Topic(
        answers=("The primary colours are red, yellow and blue.",),
        questions=(
            "(list|name|tell me|what are|which are) (the|all|the three) (primary|basic|main) (colours|"
            "colors)",
        ),
    ),
    Topic(
        answers=("A llama is a woolly animal of South America, a relative of the camel.",),
        questions=(
            "what (is|are) (a llama|llamas)",
            "(tell me about|do you know|explain) (llamas|the llama|what a llama is)",
            "what (kind of|) animal is a llama",
            "where do llamas live",
            "llama",
        ),
        weight=1.5,
    ),
    Topic(
        answers=("Water freezes at 0 degrees and boils at 100 degrees Celsius.",),
        questions=(
            "(when|at what temperature|at which temperature) does water (freeze|boil)",
            "(freezing|boiling) point of water",
        ),
    ),
)
