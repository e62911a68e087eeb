"""The words of the task: what there is to order, and the ways to say numbers, sizes and times."""

from typing import NamedTuple


class Item(NamedTuple):
    """Something on the menu: its singular and plural, and what may be added or left out."""

    name: str
    plural: str
    adds: tuple[str, ...]
    drops: tuple[str, ...]
    sized: bool


_DRINK = ("oat milk", "caramel", "cinnamon")
_DRINK_DROPS = ("sugar", "foam", "ice")
_BREAD = ("cheese", "butter", "tomato")
_BREAD_DROPS = ("onion", "mayo", "pickles")

MENU = (
    Item("latte", "lattes", _DRINK, _DRINK_DROPS, sized=True),
    Item("mocha", "mochas", _DRINK, _DRINK_DROPS, sized=True),
    Item("tea", "teas", _DRINK, _DRINK_DROPS, sized=True),
    Item("coffee", "coffees", _DRINK, _DRINK_DROPS, sized=True),
    Item("bagel", "bagels", _BREAD, _BREAD_DROPS, sized=False),
    Item("wrap", "wraps", _BREAD, _BREAD_DROPS, sized=False),
    Item("sandwich", "sandwiches", _BREAD, _BREAD_DROPS, sized=False),
    Item("burger", "burgers", _BREAD, _BREAD_DROPS, sized=False),
)

#: A number and the ways to say it. The first is what a change of mind says.
NUMBERS: dict[int, tuple[str, ...]] = {
    1: ("one", "a"),
    2: ("two", "a couple of"),
    3: ("three",),
    4: ("four",),
    5: ("five",),
    6: ("six",),
}

SIZES: dict[str, tuple[str, ...]] = {"small": ("small", "little"), "large": ("large", "big")}

HOURS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")

#: Minutes past the hour and how they are said.
MINUTES: dict[int, tuple[str, ...]] = {
    0: ("{hour}",),
    15: ("quarter past {hour}",),
    30: ("half past {hour}", "{hour} thirty"),
}

OPENINGS = ("hi, can i get ", "i'd like ", "give me ", "")

ADDING = ("with {what}", "plus {what}")
DROPPING = ("no {what}", "without {what}", "hold the {what}")
RECOUNTS = ("no wait, make that {number} {items}", "sorry, {number} {items}")
REMOVALS = ("oh, skip the {items}",)

LEAVING: dict[str, tuple[str, ...]] = {
    "here": ("for here", "to eat in"),
    "pickup": ("for pickup", "i'll collect it"),
    "delivery": ("delivered", "bring it over"),
}
