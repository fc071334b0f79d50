"""The structure of the code, read from the code: ``python -m tests.architecture`` writes it into docs/.

The tree has the first sentence of each file's docstring; the picture has the rooms and who imports whom.
"""

import ast
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import grimp
import networkx

ROOT = Path(__file__).parents[1]
PAGE, PICTURE = ROOT / "docs" / "architecture.md", ROOT / "docs" / "rooms.svg"
FOLDERS = ("vlx", "adapters", "eval")
BEGIN, END = "<!-- the tree: made by python -m tests.architecture -->\n```\n", "```\n<!-- end -->"
ROOMS = {
    "cli": (1.0, 0),
    "eval.page": (0.0, 2),
    "eval.runs": (0.0, 3),
    "eval.tasks": (0.0, 4),
    "eval.items": (0.0, 5),
    "eval.data": (0.0, 6),
    "eval.baselines": (0.0, 7),
    "eval.measures": (0.0, 8),
    "studies": (1.0, 1),
    "segmentation": (1.0, 2),
    "load": (1.0, 4),
    "scenes": (1.0, 5),
    "adapters.inspect": (1.0, 6),
    "adapters.catalogue": (1.0, 7),
    "adapters.huggingface": (1.0, 8),
    "adapters.families": (1.0, 9),
    "adapters.parts": (1.0, 10),
    "adapters.nets": (1.0, 11),
    "adapters.files": (1.0, 12),
    "network": (2.0, 7),
    "show": (2.0, 8),
    "api": (2.0, 9),
    "asking": (2.0, 10),
    "explain": (2.0, 11),
    "saved": (2.0, 12),
    "explanation": (2.0, 13),
    "check": (2.0, 14),
    "methods": (2.0, 15),
    "passes": (2.0, 16),
    "images": (2.0, 17),
    "word_classes": (1.0, 18),
    "owned": (2.0, 18),
    "errors": (2.0, 19),
}
"""Every room with its column and its row in the picture, the roof first: what imports stands above."""


def graph() -> grimp.ImportGraph:
    """Who imports whom, as grimp reads it from the files; imports inside functions count too."""
    return grimp.build_graph("vlx", cache_dir=None)


def circles(imports: Iterable[tuple[str, str]]) -> list[list[str]]:
    """Files that import one another in a circle, each circle sorted."""
    found = networkx.strongly_connected_components(networkx.DiGraph(imports))
    return sorted(sorted(names) for names in found if len(names) > 1)


def pairs(found: grimp.ImportGraph) -> Iterator[tuple[str, str]]:
    """Every file with each file that it imports; a package stands for its ``__init__``."""
    for name in sorted(found.modules):
        for other in sorted(found.find_modules_directly_imported_by(name)):
            yield name, other


def tree() -> str:
    """Every file of the product with the first sentence of what it says of itself."""
    lines: list[str] = []
    for folder in FOLDERS:
        lines += [_line(folder + "/", 0, _says(ROOT / folder / "__init__.py")), *_inside(ROOT / folder, 1)]
    return "\n".join(lines) + "\n"


def _inside(folder: Path, depth: int) -> Iterator[str]:
    entries = [path for path in folder.iterdir() if not path.is_symlink() and path.name[0] not in "_."]
    for path in sorted(entries, key=lambda path: (path.is_dir(), path.name)):
        if path.suffix == ".py":
            yield _line(path.name, depth, _says(path))
        elif (path / "__init__.py").is_file():
            yield _line(path.name + "/", depth, _says(path / "__init__.py"))
            yield from _inside(path, depth + 1)


def _line(name: str, depth: int, says: str) -> str:
    return f"{'  ' * depth + name:<28}{says}".rstrip()


def _says(path: Path) -> str:
    """The first line of a file's docstring."""
    text = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return text.split("\n")[0]


def room(module: str) -> str | None:
    """The room of a file; None for the package's own front door."""
    name = module.removeprefix("vlx.")
    rooms = [one for one in ROOMS if name == one or name.startswith(one + ".")]
    return max(rooms, key=len, default=None)


def corridors(found: grimp.ImportGraph) -> Counter[tuple[str, str]]:
    """How many imports lead from one room to another."""
    between = ((room(one), room(other)) for one, other in pairs(found))
    return Counter((a, b) for a, b in between if a is not None and b is not None and a != b)


def picture(found: grimp.ImportGraph) -> str:
    """The rooms, storey upon storey, with arrows to those that they import.

    An arrow that a chain of others implies is left out, so that a room may import all that it reaches.
    """
    wide, high, gap, side = 190, 34, 26, 900
    at = {
        name: (170 + column * (side - 340) / 2, 16 + row * (high + gap))
        for name, (column, row) in ROOMS.items()
    }
    sizes = Counter(room(name) for name in found.modules)
    shown = networkx.transitive_reduction(networkx.DiGraph(corridors(found).keys()))
    arrows = [_arrow(at[a], at[b], wide, high) for a, b in sorted(shown.edges)]
    boxes = [_box(name, sizes[name], *at[name], wide, high) for name in at]
    height = 16 + (1 + max(row for _, row in ROOMS.values())) * (high + gap)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {side} {height}" ',
            'font-family="sans-serif">',
            f'<rect width="{side}" height="{height}" fill="white"/>',
            '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" ',
            'orient="auto"><path d="M0 0 8 4 0 8z" fill="#48679a"/></marker>',
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def _arrow(start: tuple[float, float], end: tuple[float, float], wide: int, high: int) -> str:
    """A line from the foot of one box to the head of the next, or a curve from side to side past others."""
    (x, y), (to_x, to_y) = start, end
    if to_y - y < 2 * high and x == to_x:
        path = f"M{x:.0f} {y + high:.0f} L{to_x:.0f} {to_y:.0f}"
    elif x == to_x:
        out, edge = 40 + (to_y - y) * 0.2, x + wide / 2
        path = (
            f"M{edge:.0f} {y + high / 2:.0f} C{edge + out:.0f} {y + high:.0f} "
            f"{edge + out:.0f} {to_y:.0f} {edge:.0f} {to_y + high / 2:.0f}"
        )
    else:
        right = 1 if to_x > x else -1
        edge, to_edge = x + right * wide / 2, to_x - right * wide / 2
        path = (
            f"M{edge:.0f} {y + high / 2:.0f} C{edge + right * 60:.0f} {y + high / 2:.0f} "
            f"{to_edge - right * 60:.0f} {to_y + high / 2:.0f} {to_edge:.0f} {to_y + high / 2:.0f}"
        )
    return f'<path d="{path}" fill="none" stroke="#48679a" stroke-width="1.3" marker-end="url(#tip)"/>'


def _box(name: str, files: int, x: float, y: float, wide: int, high: int) -> str:
    told = f"{files} files" if files > 1 else "1 file"
    return (
        f'<rect x="{x - wide / 2:.0f}" y="{y:.0f}" width="{wide}" height="{high}" rx="5" fill="#eef2f8" '
        f'stroke="#48679a"/><text x="{x:.0f}" y="{y + 22:.0f}" text-anchor="middle" font-size="14" '
        f'fill="#1a1a1a">{name} <tspan fill="#5c5c5c" font-size="11">{told}</tspan></text>'
    )


def with_tree(page: str) -> str:
    """The page with its tree made anew."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + tree() + END + after


def main() -> None:
    """Write the tree into the page, and the picture beside it."""
    PAGE.write_text(with_tree(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    PICTURE.write_text(picture(graph()), encoding="utf-8")


if __name__ == "__main__":
    main()
