"""The words of the task: what there is to order, and the ways to say numbers, sizes and times."""

from typing import NamedTuple


class Item(NamedTuple):
    """Something on the menu: its singular and plural, and what may be added or left out."""

    name: str
    plural: str
    adds: tuple[str, ...]
    drops: tuple[str, ...]
    sized: bool


_MILKS = ("oat milk", "soy milk", "caramel", "cinnamon")
_DRINK_DROPS = ("sugar", "foam", "ice")
_BREAD = ("cheese", "butter", "mustard", "tomato")
_BREAD_DROPS = ("onion", "mayo", "pickles")
_SWEET = ("cream", "honey", "berries")
_SWEET_DROPS = ("nuts", "icing")

MENU = (
    Item("latte", "lattes", _MILKS, _DRINK_DROPS, sized=True),
    Item("mocha", "mochas", _MILKS, _DRINK_DROPS, sized=True),
    Item("tea", "teas", _MILKS, _DRINK_DROPS, sized=True),
    Item("coffee", "coffees", _MILKS, _DRINK_DROPS, sized=True),
    Item("lemonade", "lemonades", ("mint", "honey"), _DRINK_DROPS, sized=True),
    Item("bagel", "bagels", _BREAD, _BREAD_DROPS, sized=False),
    Item("wrap", "wraps", _BREAD, _BREAD_DROPS, sized=False),
    Item("sandwich", "sandwiches", _BREAD, _BREAD_DROPS, sized=False),
    Item("muffin", "muffins", _SWEET, _SWEET_DROPS, sized=False),
    Item("waffle", "waffles", _SWEET, _SWEET_DROPS, sized=False),
)

#: A number and the ways to say it. The first is what a change of mind says.
NUMBERS: dict[int, tuple[str, ...]] = {
    1: ("one", "a"),
    2: ("two", "a couple of"),
    3: ("three",),
    4: ("four",),
    5: ("five",),
    6: ("six", "half a dozen"),
}

SIZES: dict[str, tuple[str, ...]] = {"S": ("small", "little"), "L": ("large", "big")}

HOURS = ("twelve", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven")

#: Minutes past the hour and how they are said; ``{hour}`` is the hour, ``{next}`` the one after it.
MINUTES: dict[int, tuple[str, ...]] = {
    0: ("{hour}", "{hour} o'clock"),
    15: ("quarter past {hour}",),
    30: ("half past {hour}", "{hour} thirty"),
    45: ("quarter to {next}",),
}

OPENINGS = (
    "hi, can i get ",
    "could we have ",
    "i'd like ",
    "hello, ",
    "give me ",
    "um, ",
    "",
)

ADDING = ("with {what}", "plus {what}", "add {what}")
DROPPING = ("no {what}", "without {what}", "hold the {what}")
RECOUNTS = ("no wait, make that {number} {items}", "sorry, {number} {items}", "actually {number} {items}")
REMOVALS = ("oh, skip the {items}", "actually, forget the {items}")

LEAVING: dict[str, tuple[str, ...]] = {
    "here": ("for here", "to eat in"),
    "pickup": ("for pickup", "i'll collect it"),
    "delivery": ("delivered", "bring it over"),
}
