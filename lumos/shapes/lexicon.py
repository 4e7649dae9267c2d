"""The words of `lumos.shapes.wordings`: names of shapes, colours, grounds and places, verbs of motion and their forms.

Every word means one thing of the world alone: no "dark" (black, or gray?), no "rose" (pink, or rises?). A name repeated
in a row is drawn that much more often.
"""

from lumos.shapes.spec import EXTRA_COLOURS, EXTRA_SHAPES

SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "circle": ("circle", "circle", "circle", "ball", "ball", "disc", "disk", "dot"),
    "square": ("square", "square", "square", "box", "box", "block"),
    "triangle": ("triangle",),
    "star": ("star", "star", "star", "five-pointed star"),
    "ring": ("ring", "ring", "ring", "hoop", "donut", "doughnut"),
    **{shape: (shape,) for shape in EXTRA_SHAPES},
}
COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red",) * 6 + ("scarlet", "crimson"),
    "orange": ("orange",),
    "yellow": ("yellow",) * 4 + ("golden",),
    "green": ("green",) * 4 + ("emerald",),
    "blue": ("blue",),
    "purple": ("purple", "purple", "violet"),
    **{colour: (colour,) for colour in EXTRA_COLOURS},
}
GROUND_WORDS: dict[str, tuple[str, ...]] = {
    "black": ("black",),
    "white": ("white",),
    "gray": ("gray", "grey"),
    "pink": ("pink",),
}
PLACES: tuple[str, ...] = (
    "on {}", "on {}", "on {}", "against {}", "over {}",
    "on a {} background", "on a {} background", "on a {} ground", "on a plain {} background", "on a {} backdrop",
    "on a {} canvas", "on a {} screen", "against a {} background", "against a {} backdrop", "over a {} background",
    "over a {} backdrop", "in front of a {} background", "in front of a {} wall", "with a {} background",
)  # fmt: skip
"""Grounds, within a sentence."""
LAST_PLACES: tuple[str, ...] = (", {} background", ", background {}", ", the background is {}", ", the ground is {}")
"""Grounds, at its end."""

RELATION_WORDS: dict[str, tuple[str, ...]] = {
    "left": ("to the left of", "left of", "on the left of", "on the left side of"),
    "right": ("to the right of", "right of", "on the right of", "on the right side of"),
    "above": ("above", "over", "on top of", "higher than"),
    "below": ("below", "under", "beneath", "underneath", "lower than"),
}
SIDES: dict[str, tuple[tuple[str, str], ...]] = {
    "left": (
        ("on the left", "on the right"),
        ("at the left", "at the right"),
        ("on the left side", "on the right side"),
    ),
    "right": (("on the right", "on the left"), ("at the right", "at the left")),
    "above": (("at the top", "at the bottom"), ("on top", "at the bottom")),
    "below": (("at the bottom", "at the top"), ("at the bottom", "on top")),
}
"""Where the first and the second of two stand, each said of itself."""
AND_WORDS: tuple[str, ...] = ("and", "and", "and", "with", "plus", "as well as", "together with", "along with")
BESIDE_WORDS: tuple[str, ...] = ("next to", "beside", "alongside")
"""Of two that stand side by side."""

_WAYS = ("move", "move", "move", "go", "go", "go", "slide", "drift", "travel", "glide", "float", "head")
_SIDEWAYS = ("{}", "{}", "to the {}", "to the {}", "{}wards", "{}ward", "towards the {}")
_UPRIGHT = ("{}", "{}", "{}", "{}wards", "{}ward")


def _along(side: str, ends: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"{way} {end.format(side)}" for way in _WAYS for end in ends)


MOTION_WORDS: dict[str, tuple[str, ...]] = {
    "still": (
        "stand still", "stand still", "stay still", "stay in place", "stay where it is", "hold still", "sit still",
        "rest", "not move", "not move", "be still", "be motionless", "be at rest", "remain still", "keep still",
    ),
    "left": (*_along("left", _SIDEWAYS), "move from right to left"),
    "right": (*_along("right", _SIDEWAYS), "move from left to right"),
    "up": (*_along("up", _UPRIGHT), *("rise", "climb", "rise up", "ascend") * 6, "move from the bottom to the top"),
    "down": (*_along("down", _UPRIGHT), *("fall", "sink", "drop", "descend", "fall down") * 5,
             "move from top to bottom"),
    "grow": (
        "grow", "grow", "get bigger", "get bigger", "get larger", "become bigger", "become larger", "expand", "swell",
        "grow bigger", "grow larger", "grow in size", "increase in size", "get bigger and bigger", "enlarge",
    ),
    "shrink": (
        "shrink", "shrink", "get smaller", "get smaller", "become smaller", "contract", "shrink in size",
        "decrease in size", "get smaller and smaller", "dwindle", "grow smaller",
    ),
    "turn": (
        *("turn", "rotate", "spin") * 4, "whirl", "whirl", "twirl", "revolve", "turn around", "spin around",
        "turn clockwise", "rotate clockwise", "spin in place", "rotate in place", "spin round", "turn round",
    ),
}  # fmt: skip
"""Verbs with what follows them, in the infinitive."""

_DOUBLED = frozenset({"get", "sit", "spin", "drop"})


def finite(phrase: str) -> str:
    """The phrase said of one thing: "stands still", "does not move", "is at rest"."""
    head, _, rest = phrase.partition(" ")
    if head == "not":
        return f"does not {rest}"
    ending = "es" if head in ("go", "pass") else "s"
    return " ".join(word for word in ("is" if head == "be" else head + ending, rest) if word)


def gerund(phrase: str) -> str:
    """The phrase as a participle: "standing still", "not moving", "at rest".

    >>> gerund("get bigger"), gerund("not move"), gerund("be at rest"), gerund("rotate")
    ('getting bigger', 'not moving', 'at rest', 'rotating')
    """
    head, _, rest = phrase.partition(" ")
    if head == "not":
        return f"not {gerund(rest)}"
    if head == "be":
        return rest
    stem = head + head[-1] if head in _DOUBLED else head.removesuffix("e")
    return f"{stem}ing {rest}".strip()


def attribute(phrase: str) -> str | None:
    """The phrase as it stands before a noun ("spinning", "motionless"), or None for one that cannot."""
    said = gerund(phrase)
    return None if " " in said else said
