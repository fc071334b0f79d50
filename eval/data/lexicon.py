"""Words of a caption that name a COCO category, by a list of our own and its few rules.

The list and what it holds is documented in ``lexicon.txt``. ``python -m vlx.eval.data.lexicon`` prints
its precision and recall on hand-labelled phrases (``lexicon_labels.txt``).
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from nltk.tokenize import MWETokenizer, NLTKWordTokenizer

from vlx.eval.data.records import DataError
from vlx.eval.data.word_list import Lexicon, Phrase, Span, lines_of, read_lexicon

LABELS = Path(__file__).with_name("lexicon_labels.txt")
_JOIN = "\x1f"  # no caption holds the unit separator, so a joined phrase can be counted again

_GOES_ON = frozenset(
    {
        "next", "near", "in", "on", "at", "by", "with", "together", "side", "beside", "behind", "around",
        "along", "under", "among", "amongst", "between", "alone", "still", "outside", "inside", "over",
        "against", "up", "close", "across", "facing", "there", "to", "for", "and", "while", "as",
    }
)  # fmt: skip
"""What follows a verb and seldom a noun that ends a noun phrase."""
_VESSELS = frozenset(("glass", "glasses", "pint", "pot", "pots", "bottle", "bottles", "family"))
_FULL_OF = frozenset(("of", "with", "full", "filled"))
_DONE = frozenset(("drawn", "surfing", "boarding"))
_LIKE = frozenset(("like", "as"))


@dataclass(frozen=True)
class VisualWord:
    """A phrase of a caption that names a category."""

    span: Span
    """Its tokens: first, and one after the last."""
    category: str

    def head(self, tokens: Sequence[str]) -> int:
        """The position of its head noun among the tokens of the caption.

        It is the last of its words; the first where a vessel names what is in it ("glass of wine"), and where
        what was done with the thing follows ("horse drawn").
        """
        first, stop = self.span
        words = [token.lower() for token in tokens[first:stop]]
        holds = words[0] in _VESSELS and not _FULL_OF.isdisjoint(words[1:2])
        return first if holds or words[-1] in _DONE else stop - 1


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


def words_naming(category: str, lexicon: Lexicon | None = None) -> tuple[tuple[str, bool], ...]:
    """The single words that name a category, in the order of the list, each with whether it is a plural.

    A category that the list names by several words alone has none.

    >>> words_naming("dog")[:3]
    (('dog', False), ('dogs', True), ('puppy', False))
    """
    return _single_words(lexicon or built_in()).get(category, ())


def categories_named(texts: Iterable[str], lexicon: Lexicon | None = None) -> set[str]:
    """Every category that some texts may be about: those of their visual words, and of any word in them.

    More than `visual_words` finds: a statue of a horse, a hot dog and the colour orange count here.

    >>> sorted(categories_named(["a hot dog by a horse statue"]))
    ['dog', 'horse', 'hot dog']
    """
    words = lexicon or built_in()
    found: set[str] = set()
    for text in texts:
        tokens = tokenize(text)
        found.update(one.category for one in visual_words(tokens, words))
        for token in tokens:
            found |= {words.categories[token,]} if (token,) in words.categories else set()
            found.update(one.category for one in words.contexts.get((token,), ()))
    return found


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
    fitting = (one.category for one in lexicon.contexts.get(phrase, ()) if one.fits(tokens, span))
    name = (
        lexicon.categories.get(phrase) or lexicon.categories.get(_unhyphened(phrase)) or next(fitting, None)
    )
    if name is None or _is_replica(tokens, span, name, lexicon):
        return None
    follower = tuple(tokens[span[1] : span[1] + 1])
    modifies = follower in lexicon.heads and phrase not in lexicon.plurals
    if not modifies or name == "person" or _is_verb(tokens, span, name, lexicon):
        return name
    return None


def _is_verb(tokens: Sequence[str], span: Span, name: str, lexicon: Lexicon) -> bool:
    """Whether the head behind a span is a verb there, so that the span is no modifier of it.

    "a bus parks behind a cone" (a noun phrase that begins with a singular has no head in the plural), "a dog
    and a horse stand together" (animals, and what is joined to others, stand), "a cake shaped like a shoe".
    """
    first, stop = span
    verb, after = tokens[stop], tokens[stop + 1] if stop + 1 < len(tokens) else ""
    if verb.endswith("ed"):
        return after in _LIKE
    if (verb,) not in lexicon.verbs or after not in _GOES_ON:
        return False
    joined = "and" in tokens[max(0, first - 3) : first]
    return verb.endswith("s") or joined or (name,) in lexicon.animals


def _is_replica(tokens: Sequence[str], span: Span, name: str, lexicon: Lexicon) -> bool:
    longest = max(map(len, lexicon.replicas), default=0)
    before = (tuple(tokens[max(0, span[0] - size) : span[0]]) for size in range(1, longest + 1))
    # A toy bear is the category; a statue of one, or a cake in its shape, is not.
    return any(phrase in lexicon.replicas and (name != "teddy bear" or len(phrase) > 1) for phrase in before)


def _only_modifies(tokens: Sequence[str], word: VisualWord, starts: set[int], lexicon: Lexicon) -> bool:
    first, stop = word.span
    return tuple(tokens[first:stop]) in lexicon.modifiers and stop in starts


@cache
def _single_words(lexicon: Lexicon) -> Mapping[str, tuple[tuple[str, bool], ...]]:
    found: dict[str, tuple[tuple[str, bool], ...]] = {}
    for phrase, category in lexicon.categories.items():
        if len(phrase) == 1:
            found[category] = (*found.get(category, ()), (phrase[0], phrase in lexicon.plurals))
    return found


@cache
def _merger(lexicon: Lexicon) -> MWETokenizer:
    known = {*lexicon.categories, *lexicon.none, *lexicon.contexts}
    several = (phrase for phrase in known if len(phrase) > 1)
    return MWETokenizer(sorted(several), separator=_JOIN)


def _unhyphened(phrase: Phrase) -> Phrase:
    return tuple(part for word in phrase for part in word.split("-") if part)


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
    for number, line in lines_of(Path(path)):
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
