"""Words of a caption that name a COCO category, by a list of our own and its few rules.

The list and what it holds is documented in ``lexicon.txt``. ``python -m vlx.eval.data.lexicon`` prints
its precision and recall on hand-labelled phrases (``lexicon_labels.txt``).
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType

from nltk.tokenize import MWETokenizer, NLTKWordTokenizer

from vlx.eval.data.records import DataError

LEXICON = Path(__file__).with_name("lexicon.txt")
LABELS = Path(__file__).with_name("lexicon_labels.txt")
RULES = ("none", "heads", "replicas", "modifiers")
_JOIN = "\x1f"  # no caption holds the unit separator, so a joined phrase can be counted again

Span = tuple[int, int]
"""The first token and the one after the last."""
Phrase = tuple[str, ...]


@dataclass(frozen=True)
class VisualWord:
    """A phrase of a caption that names a category."""

    span: Span
    """Its tokens: first, and one after the last. The last is the head noun."""
    category: str


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

    @property
    def names(self) -> tuple[str, ...]:
        """The categories, in the order of the list."""
        return tuple(dict.fromkeys(self.categories.values()))


def read_lexicon(path: str | Path = LEXICON) -> Lexicon:
    """The lexicon in a text file of the format of ``lexicon.txt``.

    Raises DataError for a line without a colon and for a phrase of two categories.

    >>> read_lexicon().names[:2]
    ('person', 'bicycle')
    """
    words: dict[Phrase, str] = {}
    plurals: set[Phrase] = set()
    rules: dict[str, set[Phrase]] = {rule: set() for rule in RULES}
    for number, line in _lines(Path(path)):
        name, colon, entries = line.partition(":")
        if not colon:
            raise DataError(f"{path}:{number}: expected 'category: word, word', found {line[:40]!r}")
        forms = [_forms(entry) for entry in entries.split(",")]
        if name in rules:
            rules[name] |= {form for pair in forms for form in pair if form}
        else:
            _add(words, name, forms, f"{path}:{number}")
            plurals |= {several for _, several in forms if several}
    both = rules["none"] & set(words)
    if both:
        raise DataError(f"{path}: {' '.join(min(both))!r} stands under a category and under 'none'")
    frozen = {rule: frozenset(phrases) for rule, phrases in rules.items()}
    return Lexicon(MappingProxyType(words), frozenset(plurals), **frozen)


@cache
def built_in() -> Lexicon:
    """The lexicon that comes with the package.

    >>> built_in().categories["puppy",]
    'dog'
    """
    return read_lexicon()


def tokenize(text: str) -> list[str]:
    """Lower-case Treebank tokens of a caption; a full stop within a line is split off too.

    >>> tokenize("Two dogs. One runs")
    ['two', 'dogs', '.', 'one', 'runs']
    """
    spaced = text.lower().replace(". ", " . ")
    return NLTKWordTokenizer().tokenize(spaced)


def visual_words(caption: str | Sequence[str], lexicon: Lexicon | None = None) -> list[VisualWord]:
    """The visual words of a caption, in order, none overlapping.

    ``caption`` is a text, tokenised by tokenize, or its tokens in any case; spans count tokens.
    The longest phrase from the left wins; the rules of the list are applied afterwards.

    >>> visual_words("two dogs on a bench")[1]
    VisualWord(span=(4, 5), category='bench')
    """
    words = lexicon or built_in()
    tokens = tokenize(caption) if isinstance(caption, str) else [word.lower() for word in caption]
    spans = _phrases(tokens, words)
    found = [VisualWord(span, name) for span in spans if (name := _category(tokens, span, words))]
    starts = {word.span[0] for word in found}
    return [word for word in found if not _only_modifies(tokens, word, starts, words)]


def _phrases(tokens: Sequence[str], lexicon: Lexicon) -> list[Span]:
    """Spans of the tokens merged into the longest phrases of the list."""
    spans: list[Span] = []
    start = 0
    for merged in _merger(lexicon).tokenize(list(tokens)):
        stop = start + merged.count(_JOIN) + 1
        spans.append((start, stop))
        start = stop
    return spans


def _category(tokens: Sequence[str], span: Span, lexicon: Lexicon) -> str | None:
    """The category of a span, unless it is an imitation or modifies what follows."""
    phrase = tuple(tokens[span[0] : span[1]])
    if phrase in lexicon.none:
        return None
    name = lexicon.categories.get(phrase) or lexicon.categories.get(_unhyphened(phrase))
    if name is None or _is_replica(tokens, span, name, lexicon):
        return None
    follower = tuple(tokens[span[1] : span[1] + 1])
    modifies = follower in lexicon.heads and phrase not in lexicon.plurals
    return None if modifies and name != "person" else name


def _is_replica(tokens: Sequence[str], span: Span, name: str, lexicon: Lexicon) -> bool:
    longest = max(map(len, lexicon.replicas), default=0)
    before = (tuple(tokens[max(0, span[0] - size) : span[0]]) for size in range(1, longest + 1))
    return name != "teddy bear" and any(phrase in lexicon.replicas for phrase in before)


def _only_modifies(tokens: Sequence[str], word: VisualWord, starts: set[int], lexicon: Lexicon) -> bool:
    first, stop = word.span
    return tuple(tokens[first:stop]) in lexicon.modifiers and stop in starts


@cache
def _merger(lexicon: Lexicon) -> MWETokenizer:
    several = (phrase for phrase in {*lexicon.categories, *lexicon.none} if len(phrase) > 1)
    return MWETokenizer(sorted(several), separator=_JOIN)


def _unhyphened(phrase: Phrase) -> Phrase:
    return tuple(part for word in phrase for part in word.split("-") if part)


def _lines(path: Path) -> list[tuple[int, str]]:
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


@dataclass(frozen=True)
class Score:
    """How the lexicon agrees with labels."""

    phrases: int
    right: int
    """Found and labelled."""
    wrong: tuple[str, ...]
    """Found and not labelled: phrase and category."""
    missed: tuple[str, ...]
    """Labelled and not found."""

    @property
    def precision(self) -> float:
        """The share of found words that are labelled."""
        return self.right / (self.right + len(self.wrong))

    @property
    def recall(self) -> float:
        """The share of labels that are found."""
        return self.right / (self.right + len(self.missed))


def read_labels(path: str | Path = LABELS) -> list[tuple[str, tuple[str, ...]]]:
    """Phrases with the categories they name, in order: ``phrase | category, category``."""
    labels: list[tuple[str, tuple[str, ...]]] = []
    for number, line in _lines(Path(path)):
        phrase, bar, names = line.partition("|")
        if not bar:
            raise DataError(f"{path}:{number}: expected 'phrase | category, ...'")
        given = tuple(name.strip() for name in names.split(",") if name.strip())
        labels.append((phrase.strip(), given))
    return labels


def score(labels: Sequence[tuple[str, tuple[str, ...]]], lexicon: Lexicon | None = None) -> Score:
    """Compare what the lexicon finds with labels, each mention counting once.

    >>> found = score([("a dog and a hat", ("dog", "tie"))])
    >>> found.precision, found.recall, found.missed
    (1.0, 0.5, ('a dog and a hat: tie',))
    """
    right, wrong, missed = 0, list[str](), list[str]()
    for phrase, expected in labels:
        rest = list(expected)
        for word in visual_words(phrase, lexicon):
            if word.category in rest:
                rest.remove(word.category)
                right += 1
            else:
                wrong.append(f"{phrase}: {word.category}")
        missed += [f"{phrase}: {name}" for name in rest]
    return Score(len(labels), right, tuple(wrong), tuple(missed))


def main() -> int:
    """Print size, precision and recall of the built-in lexicon, and every disagreement."""
    lexicon = built_in()
    result = score(read_labels())
    print(f"{len(lexicon.categories)} words and phrases of {len(lexicon.names)} categories")
    print(f"{result.phrases} labelled phrases, {result.right + len(result.missed)} mentions")
    print(f"precision {result.precision:.3f}   recall {result.recall:.3f}")
    for said, items in (("found, not labelled", result.wrong), ("missed", result.missed)):
        for item in items:
            print(f"  {said}: {item}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
