"""What can stand in a built-in scene: COCO categories with a glyph, their words, colours and grounds."""

from dataclasses import dataclass

Noun = tuple[str, str]
"""Singular and plural."""


@dataclass(frozen=True)
class Glyph:
    """One emoji that shows a category, and the nouns that name just this one."""

    char: str
    nouns: tuple[Noun, ...] = ()
    flips: bool = True
    """Whether its mirror image is as good; not where there is writing."""


@dataclass(frozen=True)
class Category:
    """A COCO category: its id and name there, its glyphs and its nouns (the first is the usual one)."""

    id: int
    name: str
    glyphs: tuple[Glyph, ...]
    nouns: tuple[Noun, ...]
    colours: bool = False
    """Whether its hue can be changed, so that its colour can be asked for."""


def _kind(id: int, name: str, glyphs: str, *more: Noun, plural: str = "", colours: bool = False) -> Category:
    shapes = tuple(Glyph(char) for char in glyphs.split())
    return Category(id, name, shapes, ((name, plural or name + "s"), *more), colours)


_PEOPLE = (
    Glyph("👨", (("man", "men"),)),
    Glyph("👩", (("woman", "women"), ("lady", "ladies"))),
    Glyph("👦", (("boy", "boys"),)),
    Glyph("👧", (("girl", "girls"),)),
    Glyph("💃", (("woman", "women"), ("lady", "ladies"))),
    Glyph("🕺", (("man", "men"),)),
)
_DOGS = (Glyph("🐕"), Glyph("🐶", (("puppy", "puppies"),)), Glyph("🐩"))
_CATS = (Glyph("🐈"), Glyph("🐱", (("kitten", "kittens"),)))
_CARS = (Glyph("🚗"), Glyph("🚙"), Glyph("🚕", (("taxi", "taxis"),)))

CATEGORIES = (
    Category(1, "person", _PEOPLE, (("person", "people"),)),
    _kind(2, "bicycle", "🚲", ("bike", "bikes")),
    Category(3, "car", _CARS, (("car", "cars"),), colours=True),
    _kind(4, "motorcycle", "🏍", ("motorbike", "motorbikes")),
    _kind(5, "airplane", "✈ 🛩", ("plane", "planes")),
    _kind(6, "bus", "🚌 🚍", plural="buses", colours=True),
    _kind(7, "train", "🚆 🚂"),
    _kind(8, "truck", "🚚 🚛", ("lorry", "lorries"), colours=True),
    _kind(9, "boat", "⛵ 🚤", ("ship", "ships")),
    _kind(10, "traffic light", "🚦 🚥"),
    Category(13, "stop sign", (Glyph("🛑", flips=False),), (("stop sign", "stop signs"),)),
    _kind(16, "bird", "🐦 🦜 🦆"),
    Category(17, "cat", _CATS, (("cat", "cats"),)),
    Category(18, "dog", _DOGS, (("dog", "dogs"),)),
    _kind(19, "horse", "🐎 🐴", ("pony", "ponies")),
    _kind(20, "sheep", "🐑 🐏", plural="sheep"),
    _kind(21, "cow", "🐄 🐮"),
    _kind(22, "elephant", "🐘"),
    _kind(23, "bear", "🐻"),
    _kind(24, "zebra", "🦓"),
    _kind(25, "giraffe", "🦒"),
    _kind(27, "backpack", "🎒", ("rucksack", "rucksacks"), colours=True),
    _kind(28, "umbrella", "☂ 🌂", colours=True),
    _kind(31, "handbag", "👜 👛", ("purse", "purses"), colours=True),
    _kind(32, "tie", "👔", ("necktie", "neckties")),
    _kind(33, "suitcase", "🧳", colours=True),
    _kind(34, "frisbee", "🥏"),
    _kind(37, "sports ball", "⚽ 🏀", ("ball", "balls")),
    _kind(38, "kite", "🪁"),
    _kind(41, "skateboard", "🛹"),
    _kind(44, "bottle", "🍾 🍼"),
    _kind(46, "wine glass", "🍷", ("glass of wine", "glasses of wine"), plural="wine glasses"),
    _kind(47, "cup", "☕ 🍵", ("mug", "mugs")),
    _kind(49, "knife", "🔪", plural="knives"),
    _kind(50, "spoon", "🥄"),
    _kind(51, "bowl", "🥣 🍜"),
    _kind(52, "banana", "🍌"),
    _kind(53, "apple", "🍎 🍏"),
    _kind(54, "sandwich", "🥪", plural="sandwiches"),
    _kind(55, "orange", "🍊"),
    _kind(56, "broccoli", "🥦", plural="broccoli"),
    _kind(57, "carrot", "🥕"),
    _kind(58, "hot dog", "🌭"),
    _kind(59, "pizza", "🍕"),
    _kind(60, "donut", "🍩", ("doughnut", "doughnuts")),
    _kind(61, "cake", "🎂 🍰"),
    _kind(62, "chair", "🪑", colours=True),
    _kind(63, "couch", "🛋", ("sofa", "sofas"), plural="couches", colours=True),
    _kind(64, "potted plant", "🪴", ("plant", "plants")),
    _kind(65, "bed", "🛏"),
    _kind(70, "toilet", "🚽"),
    _kind(72, "tv", "📺", ("television", "televisions")),
    _kind(73, "laptop", "💻", ("computer", "computers")),
    _kind(74, "mouse", "🖱", plural="mice"),
    _kind(76, "keyboard", "⌨"),
    _kind(77, "cell phone", "📱", ("phone", "phones")),
    _kind(84, "book", "📕", colours=True),
    _kind(85, "clock", "🕐 ⏰"),
    _kind(86, "vase", "🏺"),
    _kind(87, "scissors", "✂", plural="pairs of scissors"),
    _kind(88, "teddy bear", "🧸"),
    _kind(90, "toothbrush", "🪥", plural="toothbrushes"),
)
"""The 62 COCO categories that have a glyph, by their COCO ids and names."""

COLOURS = {"red": 0.0, "yellow": 0.14, "green": 0.36, "blue": 0.61, "purple": 0.79}
"""Names of the hues that objects are given, as fractions of the colour circle."""

GROUNDS = {
    "grass": "on the grass",
    "sand": "on the sand",
    "sea": "in the sea",
    "snow": "in the snow",
    "road": "on the road",
}
"""What a scene stands on, and how a caption says so."""

BY_ID = {category.id: category for category in CATEGORIES}
BY_NAME = {category.name: category for category in CATEGORIES}
