"""From words to the tokens of a transformers model, and back."""

import unicodedata
from collections.abc import Sequence
from typing import Any, overload

from vlx.errors import TextError, UnknownWord
from vlx.passes.reading import Word

_BLANKS = ("Ġ", "▁")  # how byte-pair and sentence-piece vocabularies write the blank before a word
_BROKEN = "\ufffd"  # what an unfinished character decodes to


class Said(str):
    """A text as a model emitted it: it keeps its tokens, so that these are scored and no others."""

    ids: tuple[int, ...]
    end: int | None
    """The token with which the model ended it, where it did."""

    def __new__(cls, text: str, ids: Sequence[int], end: int | None = None) -> "Said":
        """Bind a text to its tokens."""
        said = super().__new__(cls, text)
        said.ids = tuple(ids)
        said.end = end
        return said


def decoded(tokenizer: Any, ids: Sequence[int]) -> str:
    """The text of some tokens, blanks and all; special tokens say nothing."""
    return tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False)


def emitted(tokenizer: Any, ids: Sequence[int], ends: Sequence[int]) -> Said:
    """What a model said, up to its end token."""
    stop = next((at for at, token in enumerate(ids) if token in ends), len(ids))
    return Said(decoded(tokenizer, ids[:stop]).strip(), ids[:stop], ids[stop] if stop < len(ids) else None)


def said_by(tokenizer: Any, text: str) -> Said | None:
    """A text with the tokens that a model of this tokenizer emitted it with; None for any other text."""
    own = isinstance(text, Said) and decoded(tokenizer, text.ids).strip() == text
    return text if isinstance(text, Said) and own else None


def tokens_of(tokenizer: Any, text: str) -> list[int]:
    """The tokens of a given text that stands alone.

    Raises TextError for a text without tokens, and for a word that the tokenizer does not know.
    """
    return checked(tokenizer, text, tokenizer(text, add_special_tokens=False)["input_ids"])


def checked(tokenizer: Any, text: str, ids: list[int]) -> list[int]:
    """The tokens of a text, if it has any and the tokenizer knows its words; else raises TextError."""
    if not text.strip() or not ids:
        raise TextError(f"{text!r} holds no word: give some text")
    unknown = tokenizer.unk_token_id
    for word in text.split() if unknown in ids else ():
        if unknown in tokenizer(word, add_special_tokens=False)["input_ids"]:
            raise UnknownWord(
                f"the model's tokenizer does not know {word!r}: leave it out or say it otherwise"
            )
    return ids


def words_of(tokenizer: Any, ids: Sequence[int], before: str = "") -> tuple[Word, ...]:
    """The words that tokens spell; the score of a word is the sum over its tokens.

    A word ends where a blank or, in scripts without blanks, another such character follows. Special
    tokens belong to no word. Where the first token spells the end of a prompt too, ``before`` is that end.
    """
    special = set(tokenizer.all_special_ids)
    groups: list[tuple[str, list[int]]] = []
    told = before if decoded(tokenizer, ids).startswith(before) else ""
    waiting = list[int]()
    for step, token in enumerate(ids):
        if token in special:
            continue
        waiting.append(step)
        said = decoded(tokenizer, ids[: step + 1])
        if said.endswith(_BROKEN):
            continue  # the character goes on in the next token
        piece = said[len(told) :]
        if not piece.strip():  # a blank or a line break of its own goes with the word that follows
            continue
        begins = piece[0].isspace() or told[-1:].isspace() or _stands_alone(piece[0])
        if groups and not begins:
            groups[-1] = (groups[-1][0] + piece, groups[-1][1] + waiting)
        else:
            groups.append((piece, waiting))
        told, waiting = said, []
    if groups and waiting:
        groups[-1] = (groups[-1][0], groups[-1][1] + waiting)
    return tuple(
        Word(text.strip(), tuple(steps), tuple(int(ids[step]) for step in steps)) for text, steps in groups
    )


def _stands_alone(character: str) -> bool:
    """Whether a character belongs to a script that writes no blanks between words."""
    return unicodedata.category(character) == "Lo"


class TokenNames(Sequence[str]):
    """The names of a tokenizer's tokens, looked up when asked for.

    A token that begins a word is named by the word; one that goes on with a word by ``##`` and its
    text, whatever the vocabulary's own sign for it.
    """

    def __init__(self, tokenizer: Any, count: int) -> None:
        self._tokenizer, self._count = tokenizer, count
        known: dict[str, int] = tokenizer.get_vocab()
        self._blank = next((sign for sign in _BLANKS if any(name.startswith(sign) for name in known)), None)

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[str]: ...
    def __getitem__(self, index: int | slice) -> str | Sequence[str]:
        if isinstance(index, slice):
            return [self[at] for at in range(*index.indices(self._count))]
        if not 0 <= index < self._count:
            raise IndexError(index)
        token: str | None = self._tokenizer.convert_ids_to_tokens(index)
        if token is None:  # the model's vocabulary may be padded beyond the tokenizer's
            return f"<{index}>"
        if self._blank is None or index in self._tokenizer.all_special_ids:
            return token
        return token[1:] if token.startswith(self._blank) else f"##{token}"
