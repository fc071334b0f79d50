"""Items on words of captions: every word, and words that may name what the image does not show.

The visual words of a caption by the lexicon name categories. One whose category the image shows is true; the
same caption with a word of an absent category in its place is changed there (CHAIR's question, Rohrbach et
al. 2018, arXiv 1809.02156, asked of single words); what a model writes by itself may be either.
"""

from collections import Counter
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from vlx.eval.data.coco import Caption, CocoImage, Instances, read_captions, read_instances
from vlx.eval.data.folder import DataFolder
from vlx.eval.data.lexicon import VisualWord, built_in, tokenize, visual_words
from vlx.eval.data.published import CAPTIONS, INSTANCES
from vlx.eval.items.item import Damage, Item, seed_of
from vlx.eval.items.options import Options
from vlx.eval.items.shown import shown_in
from vlx.eval.items.sources import captions_of
from vlx.eval.items.truth import Shown
from vlx.word_classes import word_class

OBJECT = "object"
"""The class of head nouns that name a category, beside those of `vlx.word_classes`."""
MOST_OTHERS = 40
"""Words of absent categories that a model is offered, one after another, until it knows one."""
_VOWELS = "aeiou"


def caption_words(folder: DataFolder, options: Options) -> list[Item]:
    """Every word of the reference captions, its class in the place of a category; marks are no words."""
    damage = Damage()
    captions = read_captions(folder.path(CAPTIONS), damage, folder.split)
    items: list[Item] = []
    for image, path, caption in captions_of(captions, folder, options, damage):
        tokens = tokenize(caption.text)
        heads = {word.head(tokens) for word in visual_words(tokens)}
        said: Counter[str] = Counter()
        for at, token in enumerate(tokens):
            kind = OBJECT if at in heads else word_class(token)
            if kind != "punctuation":
                items.append(
                    Item(
                        f"{image.id}/{caption.id}/{at}", path, str(image.id), caption.text,
                        word=token, mention=said[token], category=kind,
                    )
                )  # fmt: skip
            said[token] += 1
    return [*items, *damage.items]


def doubtful_words(folder: DataFolder, options: Options) -> list[Item]:
    """Of each reference caption one visual word that is true, and the caption with another in its place.

    The word is drawn by the seed and the caption; both captions are in lower case, words and marks apart.
    After the captions of an image comes an item for what a model writes of it, whose text is empty.
    """
    damage = Damage()
    instances = read_instances(folder.path(INSTANCES), damage)
    captions = read_captions(folder.path(CAPTIONS), damage, folder.split)
    everything = captions.by_image
    usual, items = _usual_words(everything), list[Item]()
    for image, some in groupby(captions_of(captions, folder, options, damage), key=lambda found: found[0]):
        truth = _shown(image, everything, instances)
        path = Path()
        for _, path, caption in some:
            items += _pair(image, path, caption, truth, instances, usual, options.seed)
        own = Item(f"{image.id}/own", path, str(image.id), "", replace(truth, own=True))
        items.append(own if truth.known else replace(own, left_out="no_instances"))
    return [*items, *damage.items]


def exchanged(item: Item, knows: Container[str]) -> Item:
    """The item with the first of its other words that a model ``knows`` in the place of its own.

    Text, word and category are then the other's, and the mention is counted in its category. Where the model
    knows none by name, it is the first: a model that spells words may still read it.

    >>> from pathlib import Path
    >>> from vlx.eval.items.item import Item
    >>> from vlx.eval.items.truth import Shown
    >>> truth = Shown(frozenset({"dog"}), frozenset({"dog", "cat"}), (("lynx", "cat"), ("cat", "cat")))
    >>> item = Item("1", Path(), "1", "a dog runs", truth, word="dog", category="dog")
    >>> exchanged(item, ["cat"]).text
    'a cat runs'
    """
    truth, tokens = item.truth, tokenize(item.text)
    assert isinstance(truth, Shown)
    mine = [one for one in visual_words(tokens) if one.category == item.category][item.mention]
    word, category = next((pair for pair in truth.others if pair[0] in knows), truth.others[0])
    first, stop = mine.span
    changed = [*tokens[:first], word, *tokens[stop:]]
    before = [one for one in visual_words(changed) if one.span[0] < first]
    number = sum(one.category == category for one in before)
    return replace(item, text=" ".join(changed), word=word, category=category, mention=number)


def own_words(item: Item, said: str) -> list[Item]:
    """An item for each visual word of what a model says, of those whose category the annotations know.

    >>> from pathlib import Path
    >>> from vlx.eval.items.item import Item
    >>> from vlx.eval.items.truth import Shown
    >>> item = Item("1/own", Path(), "1", "", Shown(frozenset({"dog"}), frozenset({"dog", "cat"}), own=True))
    >>> [(one.id, one.word, one.category) for one in own_words(item, "a puppy and two cats")]
    [('1/own/1', 'puppy', 'dog'), ('1/own/4', 'cats', 'cat')]
    """
    truth, tokens = item.truth, tokenize(said)
    assert isinstance(truth, Shown)
    mentions: Counter[str] = Counter()
    found: list[Item] = []
    for word in visual_words(tokens):
        if word.category in truth.known:
            first, stop = word.span
            found.append(
                replace(
                    item, id=f"{item.id}/{first}", text=said, word=" ".join(tokens[first:stop]),
                    mention=mentions[word.category], category=word.category,
                )
            )  # fmt: skip
        mentions[word.category] += 1
    return found


def _pair(
    image: CocoImage,
    path: Path,
    caption: Caption,
    truth: Shown,
    instances: Instances,
    usual: Mapping[str, Sequence[str]],
    seed: int,
) -> Iterator[Item]:
    """A caption with one of its true words, and the same with another word; nothing where none is true."""
    tokens, name = tokenize(caption.text), f"{image.id}/{caption.id}"
    there = {one.category for one in instances.by_image.get(image.id, ())}
    mentions: Counter[str] = Counter()
    found: list[tuple[VisualWord, int]] = []
    for word in visual_words(tokens):
        found += [(word, mentions[word.category])] if word.category in there else []
        mentions[word.category] += 1
    if not found:
        return
    word, number = found[seed_of(seed, name) % len(found)]
    said = " ".join(tokens[slice(*word.span)])
    item = Item(name, path, str(image.id), " ".join(tokens), truth, said, number, word.category)
    others = _others(tokens, word, truth.known - truth.present, usual, seed, name)
    yield item
    yield replace(
        item, id=f"{name}/changed", truth=replace(truth, others=others),
        left_out="" if others else "no_other_word",
    )  # fmt: skip


def _shown(image: CocoImage, everything: Mapping[int, Sequence[Caption]], instances: Instances) -> Shown:
    """What an image shows by its instances and all its captions; nothing is known without instances."""
    present = shown_in(instances, image.id, (one.text for one in everything.get(image.id, ())))
    return Shown(frozenset(present or ()), frozenset(() if present is None else instances.categories))


def _usual_words(everything: Mapping[int, Sequence[Caption]]) -> dict[str, list[str]]:
    """For each category the single words that captions use for it, the commonest first, and its own name."""
    counts: dict[str, Counter[str]] = {name: Counter() for name in built_in().names}
    for captions in everything.values():
        for caption in captions:
            tokens = tokenize(caption.text)
            for word in visual_words(tokens):
                if word.span[1] - word.span[0] == 1:
                    counts[word.category][tokens[word.span[0]]] += 1
    for name, mine in counts.items():
        if " " not in name:
            mine[name] += 0
    return {name: sorted(mine, key=lambda one: (-mine[one], one)) for name, mine in counts.items()}


def _others(
    tokens: Sequence[str],
    word: VisualWord,
    absent: frozenset[str],
    usual: Mapping[str, Sequence[str]],
    seed: int,
    name: str,
) -> tuple[tuple[str, str], ...]:
    """The commonest word of each absent category that is as many, and takes the same article; drawn order."""
    first, stop = word.span
    article = tokens[first - 1] if first else ""
    many = article not in ("a", "an") and _is_many(tokens[first:stop])
    found: list[tuple[str, str]] = []
    for category in sorted(absent, key=lambda one: seed_of(seed, f"{name}\0{one}")):
        for one in usual.get(category, ()):
            alike = article not in ("a", "an") or (one[0] in _VOWELS) == (article == "an")
            if alike and _is_many([one]) == many and _stays(tokens, word, one, category):
                found.append((one, category))
                break
    return tuple(found[:MOST_OTHERS])


def _is_many(phrase: Sequence[str]) -> bool:
    """Whether a phrase is plural, also one that has no singular, as skis."""
    last = phrase[-1]
    return tuple(phrase) in built_in().plurals or (last.endswith("s") and not last.endswith(("ss", "us")))


def _stays(tokens: Sequence[str], word: VisualWord, other: str, category: str) -> bool:
    """Whether the lexicon reads the other word in that place as one of its category."""
    first, stop = word.span
    changed = visual_words([*tokens[:first], other, *tokens[stop:]])
    return any(one.span == (first, first + 1) and one.category == category for one in changed)
