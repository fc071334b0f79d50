"""From text to the token ids of a CNN+LSTM model, and back."""

import re
import string
from collections.abc import Callable, Collection, MutableSequence, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby

import torch
from jaxtyping import Int
from nltk.tokenize import NLTKWordTokenizer
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from vlx.errors import TextError, UnknownWord, near_names
from vlx.passes.reading import Choices, choices_of

Tokenise = Callable[[str], list[str]]

_DELETE = str.maketrans("", "", string.punctuation)


def neuraltalk2_tokens(text: str) -> list[str]:
    """Lower case, punctuation deleted, split at blanks: ``t-shirt`` is ``tshirt`` (neuraltalk2).

    >>> neuraltalk2_tokens("A t-shirt.")
    ['a', 'tshirt']
    """
    return text.lower().translate(_DELETE).split()


def treebank_tokens(text: str) -> list[str]:
    """Lower case, then the Treebank tokens: ``?`` and a final ``.`` are words of their own (VQA, im2txt).

    >>> treebank_tokens("Is it red?")
    ['is', 'it', 'red', '?']
    """
    return NLTKWordTokenizer().tokenize(text.lower())


def alphanumeric_tokens(text: str) -> list[str]:
    """Runs of letters and digits, case kept: how the paper's demo reads a given caption.

    >>> alphanumeric_tokens("A t-shirt.")
    ['A', 't', 'shirt']
    """
    return re.findall(r"[A-Za-z0-9]+", text)


def keeping(names: Collection[str], tokenise: Tokenise) -> Tokenise:
    """The same tokens, but names such as ``<unk>`` that stand between blanks stay whole.

    So a caption in which a model itself wrote such a name is read as it was written.

    >>> keeping({"<unk>"}, neuraltalk2_tokens)("A <unk> dog.")
    ['a', '<unk>', 'dog']
    """

    def tokens(text: str) -> list[str]:
        found: list[str] = []
        for kept, pieces in groupby(text.split(), names.__contains__):
            run = list(pieces)
            found += run if kept else tokenise(" ".join(run))
        return found

    return tokens


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> Int[Tensor, "batch step"]:
    """Rows of ids in one tensor, padded on the right with 0.

    >>> padded([[1, 2], [3]], torch.device("cpu"))
    tensor([[1, 2],
            [3, 0]])
    """
    return pad_sequence([torch.tensor(row, device=device) for row in rows], batch_first=True)


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """The words of a model: ``names[i]`` is the word of output i; special ids are given by number.

    ``start`` is only an input, ``end`` only an output, and they may share one number, as in
    neuraltalk2. Without ``unknown`` a word that is not in the vocabulary is an error.

    >>> vocabulary = Vocabulary(["END", "a", "dog"], start=0, end=0)
    >>> vocabulary.encode("A dog.")
    (['a', 'dog'], [1, 2], ())
    >>> vocabulary.text([1, 2, 0, 1])
    'a dog'
    """

    names: Sequence[str]
    start: int
    end: int
    unknown: int | None = None
    tokenise: Tokenise = neuraltalk2_tokens

    def __post_init__(self) -> None:
        if isinstance(self.names, MutableSequence):  # the caller's, who may change it
            object.__setattr__(self, "names", tuple(self.names))

    @property
    def choices(self) -> Choices:
        """The vocabulary as the choices of a caption's reading."""
        signs = (self.start, self.end, *(() if self.unknown is None else (self.unknown,)))
        return choices_of("caption", self.names, frozenset(signs))

    @cached_property
    def _ids(self) -> dict[str, int]:
        return {name: at for at, name in reversed(list(enumerate(self.names)))}  # the first of the same name

    def encode(self, text: str) -> tuple[list[str], list[int], tuple[str, ...]]:
        """The tokens of a text, their ids, and those tokens that are unknown.

        Raises TextError for a text without words, and UnknownWord for an unknown word where the model
        has no token for one.
        """
        tokens = self.tokenise(text)
        if not tokens:
            raise TextError(f"{text!r} holds no word: give some text")
        index = self._ids
        unknown = tuple(dict.fromkeys(token for token in tokens if token not in index))
        if unknown and self.unknown is None:
            raise UnknownWord(
                f"the model knows no word {unknown[0]!r} among its {len(self.names)}"
                f"{near_names(unknown[0], self.names)}"
            )
        fallback = -1 if self.unknown is None else self.unknown
        return tokens, [index.get(token, fallback) for token in tokens], unknown

    def encode_questions(
        self, questions: Sequence[str], longest: int | None, device: torch.device
    ) -> tuple[Int[Tensor, "batch word"], Int[Tensor, " batch"], list[tuple[str, ...]]]:
        """The ids of questions of which ``longest`` words are read; their lengths; their unknown words.

        Rows are padded on the right with 0.
        """
        found = [self.encode(question) for question in questions]
        ids = [row[:longest] for _, row, _ in found]
        lengths = torch.tensor([len(row) for row in ids], device=device)
        unknown = [tuple(word for word in odd if word in tokens[:longest]) for tokens, _, odd in found]
        return padded(ids, device), lengths, unknown

    def text(self, ids: Sequence[int]) -> str:
        """The words of some ids, up to the end token, joined by blanks."""
        words: list[str] = []
        for index in ids:
            if index == self.end:
                break
            words.append(self.names[index])
        return " ".join(words)
