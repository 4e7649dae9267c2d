"""Prompts in plain words: what people type who know nothing of the grammar of captions.

Written by hand, each beside the caption that says the same. No data set can have one of them, however its captions are
worded: every sentence is among the reserved tenth of all wordings (`is_reserved`), and has a word that no caption has.
No combination of colour, shape and motion is a held-out one, so that it is the words alone that are new.
"""

from dataclasses import replace
from itertools import chain, zip_longest

from eval.shapes.parse import claims_of
from lumos.shapes import TAGS, Prompt

SENTENCES: tuple[tuple[str, str], ...] = (
    # one that turns
    ("Friend, could you make a yellow star whirl about for me", "a yellow star turns"),
    ("Watch a green square spin like a top again", "a green square turns"),
    ("Hey, I need footage of a triangle going round and round", "a triangle turns"),
    ("Okay, a purple star keeps on rotating, nothing else happens", "a purple star turns"),
    ("So, let us watch some red box do a slow spin against pink", "a red square turns on a pink background"),
    # rises
    ("Well, a red ball lifts off towards the sky", "a red circle moves up"),
    ("Now then, my green hoop is flying upwards, film it", "a green ring moves up"),
    ("Somebody lets go of a yellow balloon-like dot and up it goes", "a yellow circle moves up"),
    (
        "Right, imagine an orange triangle that slowly rises until it nearly leaves the frame",
        "an orange triangle moves up",
    ),
    # falls
    ("A green ball tumbles to the floor today", "a green circle moves down"),
    ("Look, the yellow star is coming down today", "a yellow star moves down"),
    (
        "Hello! Could I get a blue box that slowly sinks, with black behind it",
        "a blue square moves down on a black background",
    ),
    (
        "Next: film a white scene in which an orange ring comes falling down",
        "an orange ring moves down on a white background",
    ),
    # goes left
    ("Well, a red square wanders off to the left", "a red square moves left"),
    ("Push an orange disc leftwards", "an orange circle moves left"),
    ("Okay, what I have in mind: some purple triangle drifting slowly left", "a purple triangle moves left"),
    ("A green star scoots over to the left hand side today", "a green star moves left"),
    # goes right
    ("A purple ball rolls to the right today", "a purple circle moves right"),
    ("Hey, just a donut gliding quietly to the right", "a ring moves right"),
    (
        "Hello! Have the red square march off to the right across a grey scene",
        "a red square moves right on a gray background",
    ),
    ("Okay, could the blue triangle please travel rightwards", "a blue triangle moves right"),
    # grows
    ("A green circle which never stops growing, what fun", "a green circle grows"),
    ("Blow up an orange star until it is bigger than before", "an orange star grows"),
    ("Now then, I am after a purple ring whose size goes up", "a purple ring grows"),
    ("Little by little the blue square becomes much larger, if possible", "a blue square grows"),
    # shrinks
    ("Right, the blue circle shrinks away", "a blue circle shrinks"),
    ("So, watch how some green triangle gets tinier and tinier", "a green triangle shrinks"),
    (
        "Take a yellow hoop and let it become ever smaller, on something black, for once",
        "a yellow ring shrinks on a black background",
    ),
    ("So, an orange box loses size as time goes by", "an orange square shrinks"),
    # stands still
    ("Idea: a purple star just sits there doing nothing", "a purple star stands still"),
    ("My red donut does not budge", "a red ring stands still"),
    ("Hey, film a calm blue triangle; nothing moves at all", "a blue triangle stands still"),
    ("Right, could you keep one yellow dot perfectly still", "a yellow circle stands still"),
    # one of two that moves
    (
        "Hello! A red star whirls about while some blue ring waits to its right",
        "a red star left of a blue ring, the star turns",
    ),
    (
        "Beside a yellow circle lives a green triangle, and that triangle climbs higher",
        "a green triangle and a yellow circle, the triangle moves up",
    ),
    (
        "Above, a yellow ball runs off to the left; below, a purple box watches, cheers",
        "a yellow circle above a purple square, the circle moves left",
    ),
    # single_object
    ("Maybe: anything with a star in it, please", "a star"),
    ("Well, my kid loves triangles, could we have one", "a triangle"),
    ("Surprise me with some ring today", "a ring"),
    ("Nothing but a square, whatever its colour, my friend", "a square"),
    # colors
    ("I fancy something round and purple, a ball perhaps", "a purple circle"),
    ("So, would you kindly paint an orange star", "an orange star"),
    ("Next: my favourite is the green box", "a green square"),
    ("Well, do you know what a red donut looks like", "a red ring"),
    ("Maybe: how about some yellow triangle upon a black sheet", "a yellow triangle on a black background"),
    ("Maybe: put a blue dot onto pink paper", "a blue circle on a pink background"),
    # counting
    ("I could use a couple of stars again", "two stars"),
    ("Hey, there ought to be two blue balls here", "two blue circles"),
    ("So, give us twin triangles", "two triangles"),
    ("Today: not one but two rings", "two rings"),
    ("My wish: a lone orange square, no more than that today", "one orange square"),
    ("Two identical green boxes for my collection", "two green squares"),
    # two_object
    ("Okay, my favourite things: a star along with some circle", "a star and a circle"),
    ("Could we have both a box and a hoop, thanks", "a square and a ring"),
    ("A triangle keeps a ball company, what fun", "a triangle and a circle"),
    ("So, bring together one ring and one star", "a ring and a star"),
    # position
    ("Okay, put a star underneath some ring", "a star below a ring"),
    ("Well, could a square hover above a circle", "a square above a circle"),
    ("Maybe: a green triangle lives left of a purple star", "a green triangle left of a purple star"),
    ("To the right of my blue hoop you find a red dot", "a red circle right of a blue ring"),
    # color_attr
    ("Right, how would a red circle look beside some green square", "a red circle and a green square"),
    ("One yellow ring, one blue triangle, that is all I ask", "a yellow ring and a blue triangle"),
    ("Okay, my flag has a purple box and an orange star", "a purple square and an orange star"),
    (
        "Maybe: I wonder about a blue square together with some yellow circle, over white",
        "a blue square and a yellow circle on a white background",
    ),
)
"""What is asked, and what it claims in the words of captions."""


def plain_prompts() -> list[Prompt]:
    """All of them with their claims, the tags in turn."""
    prompts = [replace(claims_of(meaning), text=text) for text, meaning in SENTENCES]
    of_tags = [[prompt for prompt in prompts if prompt.tag == tag] for tag in TAGS]
    return [prompt for prompt in chain.from_iterable(zip_longest(*of_tags)) if prompt is not None]
