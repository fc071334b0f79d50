"""Coarse classes of English words: function words, numbers, colours, and the rest, the content words.

Short closed lists decide, written for captions and questions; a tagger of one's own can be given instead of
guessing where one spelling has two uses. Words of open classes that say little (very, also) count as
content, and so do the nouns of compound prepositions (front, top).
"""

import re
from collections.abc import Callable, Sequence

Tagger = Callable[[list[str]], Sequence[tuple[str, str]]]
"""Words to pairs of word and Penn Treebank tag, in order, as `nltk.pos_tag` does."""

CLASSES = (
    "content",
    "colour",
    "number",
    "article",
    "preposition",
    "conjunction",
    "pronoun",
    "auxiliary",
    "punctuation",
)
"""All classes, those of words that tell most about a photo first."""

FUNCTION = frozenset({"article", "preposition", "conjunction", "pronoun", "auxiliary", "punctuation"})
"""The classes of function words: they hold a sentence together and show nothing by themselves."""

_LISTS = {
    "article": "a an the every no another",
    "preposition": """
        about above across after against along alongside amid among amongst around at atop before behind
        below beneath beside besides between beyond by down during for from in inside into near of off on
        onto out outside over past per through throughout to toward towards under underneath until up upon
        via with within without""",
    "conjunction": """
        and or but nor yet so as if than because although though while whilst whereas unless since when
        where why how whether""",
    "pronoun": """
        i me my mine myself you your yours yourself yourselves he him his himself she her hers herself it
        its itself we us our ours ourselves they them their theirs themselves this that these those who
        whom whose which what there each other others some any all both either neither none several many
        few much more most someone somebody something anyone anybody anything everyone everybody everything
        nobody nothing""",
    "auxiliary": """
        am is are was were be been being do does did has have had having can could will would shall should
        may might must not n't ca wo 's 're 've 'm 'll 'd""",
    "number": """
        zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
        sixteen seventeen eighteen nineteen twenty thirty forty fifty sixty seventy eighty ninety hundred
        thousand million""",
    "colour": """
        black white grey gray red orange yellow green blue purple violet pink brown beige tan turquoise
        teal cyan magenta maroon crimson scarlet gold golden silver""",
}
_LISTED = {word: kind for kind, words in _LISTS.items() for word in words.split()}
_BY_TAG = {
    "CC": "conjunction", "CD": "number", "DT": "article", "EX": "pronoun", "IN": "preposition",
    "MD": "auxiliary", "PDT": "article", "POS": "auxiliary", "PRP": "pronoun", "PRP$": "pronoun",
    "RP": "preposition", "TO": "preposition", "WDT": "pronoun", "WP": "pronoun", "WP$": "pronoun",
    "WRB": "conjunction",
}  # fmt: skip
_OPEN = ("NN", "JJ", "VB", "FW", "UH")
_APOSTROPHES = str.maketrans("\N{RIGHT SINGLE QUOTATION MARK}\N{MODIFIER LETTER APOSTROPHE}", "''")


def word_class(word: str, tagger: Tagger | None = None) -> str:
    """The class of one word, one of `CLASSES`; capitals and marks around the word do not matter.

    A word of two uses has the one that is commoner in captions: orange is a colour. See `word_classes` for
    words in their sentence.

    >>> [word_class(word) for word in ("The", "dog", "on", "2", "red", "isn't", ".")]
    ['article', 'content', 'preposition', 'number', 'colour', 'auxiliary', 'punctuation']
    """
    return word_classes([word], tagger)[0]


def word_classes(words: Sequence[str], tagger: Tagger | None = None) -> tuple[str, ...]:
    """The class of each word of a text. ``tagger`` is `nltk.pos_tag`, or any like it.

    Its tags tell one use of a spelling from another (an orange, an orange car; she likes it, like it), and
    the lists say the rest.

    >>> word_classes(["a", "dog", "and", "three", "grey", "cats"])
    ('article', 'content', 'conjunction', 'number', 'colour', 'content')
    """
    if tagger is None:
        return tuple(_listed(word) or "content" for word in words)
    tagged = tagger(list(words))
    return tuple(_tagged(word, tag) for word, (_, tag) in zip(words, tagged, strict=True))


def _tagged(word: str, tag: str) -> str:
    listed = _listed(word)
    if tag.startswith(_OPEN):
        keeps = {"JJ": ("colour", "number"), "VB": ("auxiliary",)}.get(tag[:2], ())
        return listed if listed in (*keeps, "punctuation") else "content"
    return listed or _BY_TAG.get(tag, "content")


def _listed(word: str) -> str | None:
    """The class that a list or the spelling gives a word; None for content words."""
    plain = word.translate(_APOSTROPHES).casefold().strip()
    known = _LISTED.get(plain)
    if known is not None:
        return known
    bare = re.sub(r"^[\W_]+|[\W_]+$", "", plain)
    if not bare:
        return "punctuation"
    if re.fullmatch(r"\d[\d.,:/]*", bare):
        return "number"
    stem = re.sub(r"n't$|'\w*$", "", bare)  # isn't, it's
    kinds = {_LISTED.get(one) for one in stem.split("-")}
    return kinds.pop() if len(kinds) == 1 else None
