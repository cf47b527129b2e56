"""What people are called."""

from __future__ import annotations

NAME = (
    "(bob|alice|carol|dave|eve|anna|tom|peter|maria|john|lisa|sam|max|paul|julia|nina|emma|carlos|wei|"
    "priya|"
    "omar|kim|frank|grace|heidi|ivan|judy|mike|oscar|sara|ben|leo|mia|noah|zoe|ahmed|yuki|olga|felix|"
    "rosa)"
)
ROLE = (
    "(colleague|student|teammate|coworker|friend|roommate|intern|employee|guest|customer|contractor|"
    "tester|"
    "postdoc|professor|tutor|trainee|sister|brother|flatmate|visitor|developer|co-worker|researcher|"
    "person|"
    "user|member|pupil|staff member|freelancer|volunteer|apprentice|girlfriend|kid|boss|assistant)"
)
ONE = (
    f"({NAME}|{NAME}|{NAME}|a user|a {ROLE}|the {ROLE}|my {ROLE}|our {ROLE}|this {ROLE}|one "
    f"{ROLE}|"
    "someone|somebody|one person|user test|user 7|one of the users|one of my people|a certain user)"
)
HIS = "(his|her|their|my|the|our|its)"
