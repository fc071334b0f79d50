"""The list of words that name a category: a text file of our own format, and what it holds.

The format is documented in ``lexicon.txt``.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from vlx.eval.data.records import DataError

LEXICON = Path(__file__).with_name("lexicon.txt")
RULES = ("none", "heads", "replicas", "modifiers", "verbs", "animals")
_CONTEXT = re.compile(r"([^\[\]]*)\[([^\[\]]+)\]([^\[\]]*)")

Span = tuple[int, int]
"""The first token and the one after the last."""
Phrase = tuple[str, ...]


@dataclass(frozen=True)
class Context:
    """What must stand around a word that names a category there alone: alternatives for each token."""

    category: str
    before: tuple[frozenset[str], ...]
    after: tuple[frozenset[str], ...]

    def fits(self, tokens: Sequence[str], span: Span) -> bool:
        """Whether it stands around a span; ``$`` is the end of the text."""
        first, stop = span
        given = ["^", *tokens, "$"][max(0, first + 1 - len(self.before)) : stop + 1 + len(self.after)]
        given = given[: len(self.before)] + given[len(given) - len(self.after) :]
        wanted = (*self.before, *self.after)
        enough = first + 1 >= len(self.before) and stop + len(self.after) <= len(tokens) + 1
        return enough and all(token in some for token, some in zip(given, wanted, strict=True))


@dataclass(frozen=True, eq=False)
class Lexicon:
    """Phrases by category, and the rules around them."""

    categories: Mapping[Phrase, str]
    plurals: frozenset[Phrase]
    """Phrases known to be plural."""
    none: frozenset[Phrase]
    heads: frozenset[Phrase]
    replicas: frozenset[Phrase]
    modifiers: frozenset[Phrase]
    verbs: frozenset[Phrase]
    """Heads that are verbs too."""
    animals: frozenset[Phrase]
    """Categories that stand by themselves."""
    contexts: Mapping[Phrase, tuple[Context, ...]]
    """Words that name a category only where something stands around them."""

    @property
    def names(self) -> tuple[str, ...]:
        """The categories, in the order of the list."""
        return tuple(dict.fromkeys(self.categories.values()))


def read_lexicon(path: str | Path = LEXICON) -> Lexicon:
    """The lexicon in a text file of the format of ``lexicon.txt``.

    Raises DataError for a line without a colon, a damaged context and a phrase of two categories.

    >>> read_lexicon().names[:2]
    ('person', 'bicycle')
    """
    words: dict[Phrase, str] = {}
    plurals: set[Phrase] = set()
    rules: dict[str, set[Phrase]] = {rule: set() for rule in RULES}
    contexts: dict[Phrase, tuple[Context, ...]] = {}
    for number, line in lines_of(Path(path)):
        name, colon, entries = line.partition(":")
        if not colon:
            raise DataError(f"{path}:{number}: expected 'category: word, word', found {line[:40]!r}")
        given = [entry.strip() for entry in entries.split(",")]
        for entry in (entry for entry in given if "[" in entry):
            phrase, context = _context(entry, name, f"{path}:{number}")
            contexts[phrase] = (*contexts.get(phrase, ()), context)
        forms = [_forms(entry) for entry in given if "[" not in entry]
        if name in rules:
            rules[name] |= {form for pair in forms for form in pair if form}
        else:
            _add(words, name, forms, f"{path}:{number}")
            plurals |= {several for _, several in forms if several}
    both = rules["none"] & set(words)
    if both:
        raise DataError(f"{path}: {' '.join(min(both))!r} stands under a category and under 'none'")
    frozen = {rule: frozenset(phrases) for rule, phrases in rules.items()}
    return Lexicon(MappingProxyType(words), frozenset(plurals), contexts=MappingProxyType(contexts), **frozen)


def lines_of(path: Path) -> list[tuple[int, str]]:
    """The numbered lines of a text file without its comments and empty lines."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read ({error})") from None
    numbered = ((number, line.strip()) for number, line in enumerate(text.splitlines(), 1))
    return [(number, line) for number, line in numbered if line and not line.startswith("#")]


def _add(words: dict[Phrase, str], name: str, forms: Sequence[tuple[Phrase, Phrase]], where: str) -> None:
    """Enter phrases under a category; a phrase belongs to one category only."""
    for form in (form for pair in forms for form in pair if form):
        other = words.setdefault(form, name)
        if other != name:
            raise DataError(f"{where}: {' '.join(form)!r} stands under {other!r} and {name!r}")


def _context(entry: str, category: str, where: str) -> tuple[Phrase, Context]:
    """A word and its context: ``an|one [orange] on|.`` is *orange* between one of two tokens on each side."""
    parts = _CONTEXT.fullmatch(entry)
    if parts is None:
        raise DataError(f"{where}: expected 'before|or [word] after|or', found {entry[:40]!r}")
    before, word, after = (part.split() for part in parts.groups())
    sides = (
        tuple(frozenset("," if one == "comma" else one for one in some.split("|")) for some in side)
        for side in (before, after)
    )
    return tuple(word), Context(category, *sides)


def _forms(entry: str) -> tuple[Phrase, Phrase]:
    """Singular and plural of an entry: ``dog+``, ``man/men``, or one form as it stands."""
    word = entry.strip()
    if word.endswith("+"):
        *front, last = word[:-1].split()
        return (*front, last), (*front, plural(last))
    singular, _, several = word.partition("/")
    return tuple(singular.split()), tuple(several.split())


def plural(noun: str) -> str:
    """The regular English plural of a noun.

    >>> plural("bus"), plural("berry"), plural("dog")
    ('buses', 'berries', 'dogs')
    """
    if noun.endswith(("s", "x", "z", "ch", "sh")):
        return noun + "es"
    if noun.endswith("y") and noun[-2:-1] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + "s"
