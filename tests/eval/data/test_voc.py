"""Boxes in XML: VOC's and ILSVRC's, what is damaged there, and files that would harm."""

from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vlx.eval.data.records import DataError
from vlx.eval.data.voc import read_boxes, read_xml
from vlx.eval.measures.localisation import Corners


def annotation(*objects: str, size: str = "<size><width>40</width><height>30</height></size>") -> str:
    return f"<annotation><filename>a.jpg</filename>{size}{''.join(objects)}</annotation>"


def drawn(name: str, *corners: object, more: str = "") -> str:
    sides = "".join(
        f"<{side}>{value}</{side}>"
        for side, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name>{more}<bndbox>{sides}</bndbox></object>"


def test_voc_counts_pixels_from_1_and_ilsvrc_from_0(tmp_path: Path):
    path = tmp_path / "a.xml"
    path.write_text(annotation(drawn("dog", 1, 2, 10.0, "20")))
    found = read_boxes(path)
    assert (found.file_name, found.size) == ("a.jpg", (30, 40))
    assert found.objects[0].box == Corners(0, 1, 9, 19)
    assert read_boxes(path, origin=0).objects[0].box == Corners(1, 2, 10, 20)


def test_a_box_is_cut_at_the_border_and_one_outside_is_damaged(tmp_path: Path):
    path = tmp_path / "a.xml"
    path.write_text(annotation(drawn("dog", -5, 0, 400, 30), drawn("cat", 50, 5, 60, 9)))
    told: list[DataError] = []
    found = read_boxes(path, told.append)
    assert [one.box for one in found.objects] == [Corners(0, 0, 39, 29)]
    assert found.lost == ("cat",)
    assert "object 2 (cat) lies outside its image of 40 x 30" in str(told[0])


@pytest.mark.parametrize(
    ("record", "says"),
    [
        (drawn("dog", 10, 2, 5, 20), "end lies before its beginning"),
        (drawn("dog", 1, "nan", 5, 20), "expected xmin, ymin, xmax, ymax"),
        (drawn("dog", 1, "1e999", 5, 20), "expected xmin, ymin, xmax, ymax"),
        (drawn(" ", 1, 2, 5, 20), "has no name"),
        ("<object><name>dog</name></object>", "expected xmin"),
    ],
)
def test_damaged_objects_are_told_each_in_one_line(tmp_path: Path, record: str, says: str):
    path = tmp_path / "a.xml"
    path.write_text(annotation(record, drawn("cat", 1, 1, 5, 5)))
    with pytest.raises(DataError, match=says):
        read_boxes(path)
    told: list[DataError] = []
    found = read_boxes(path, told.append)
    assert [one.name for one in found.objects] == ["cat"]
    assert len(told) == 1
    assert "\n" not in str(told[0])


def test_difficult_objects_are_marked(tmp_path: Path):
    path = tmp_path / "a.xml"
    hard = drawn("dog", 1, 1, 5, 5, more="<difficult>1</difficult>")
    path.write_text(annotation(hard, drawn("dog", 1, 1, 5, 5, more="<difficult/>")))
    assert [one.difficult for one in read_boxes(path).objects] == [True, False]


LAUGHS = "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 9))


@pytest.mark.parametrize(
    "text",
    [
        f'<!DOCTYPE x [<!ENTITY l0 "ha">{LAUGHS}]><annotation><filename>&l8;</filename></annotation>',
        '<!DOCTYPE x [<!ENTITY f SYSTEM "file:///etc/passwd">]><annotation>&f;</annotation>',
        '<!DOCTYPE x SYSTEM "http://example.org/x.dtd"><annotation/>',
        "<!DOCTYPE annotation><annotation/>",
    ],
)
def test_document_types_and_entities_are_refused(tmp_path: Path, text: str):
    path = tmp_path / "a.xml"
    path.write_text(f'<?xml version="1.0"?>{text}')
    with pytest.raises(DataError, match="a document type or entities") as raised:
        read_boxes(path)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<annotation>",
        b"not xml",
        b"<a/><b/>",
        b"\xff\xfe<",
        b'<?xml version="1.0" encoding="no"?><a/>',
    ],
)
def test_what_is_no_xml_is_said_in_one_line(tmp_path: Path, content: bytes):
    path = tmp_path / "a.xml"
    path.write_bytes(content)
    with pytest.raises(DataError) as raised:
        read_boxes(path)
    assert "\n" not in str(raised.value)


def test_deep_files_other_roots_and_missing_files_are_refused(tmp_path: Path):
    path = tmp_path / "a.xml"
    path.write_text("<a>" * 5000 + "</a>" * 5000)
    with pytest.raises(DataError, match="nested more"):
        read_boxes(path)
    path.write_text("<labels/>")
    with pytest.raises(DataError, match="expected an <annotation>, found <labels>"):
        read_boxes(path)
    with pytest.raises(DataError, match="no such file"):
        read_boxes(tmp_path / "none.xml")
    with pytest.raises(DataError, match="cannot be read"):
        read_boxes(tmp_path)


def test_real_files_are_read_as_torchvision_reads_them(shared_data: Path):
    from torchvision.datasets import VOCDetection

    for path in sorted((shared_data / "voc-3" / "Annotations").glob("*.xml")):
        root = ElementTree.parse(path).getroot()
        plain = VOCDetection.parse_voc_xml(root)["annotation"]
        found = read_boxes(path)
        assert found.file_name == plain["filename"]
        assert [one.name for one in found.objects] == [one["name"] for one in plain["object"]]
        for mine, theirs in zip(found.objects, plain["object"], strict=True):
            sides = [float(theirs["bndbox"][side]) - 1 for side in ("xmin", "ymin", "xmax", "ymax")]
            box = mine.box
            assert [box.left, box.top, box.right, box.bottom] == pytest.approx(sides)
        assert ElementTree.tostring(read_xml(path)) == ElementTree.tostring(root)


def test_boxes_are_those_of_torchvisions_data_set_and_of_a_plain_loop(tmp_path: Path, shared_data: Path):
    from torchvision.datasets import VOCDetection

    held = shared_data / "voc-3"
    names = sorted(path.stem for path in (held / "Annotations").glob("*.xml"))
    root = tmp_path / "VOCdevkit" / "VOC2012"
    (root / "ImageSets" / "Main").mkdir(parents=True)
    (root / "ImageSets" / "Main" / "val.txt").write_text("\n".join(names) + "\n")
    for folder in ("Annotations", "JPEGImages"):
        (root / folder).symlink_to(held / folder)
    for name, (image, told) in zip(names, VOCDetection(tmp_path, image_set="val"), strict=True):
        found = read_boxes(root / "Annotations" / f"{name}.xml")
        assert found.size == (image.height, image.width)
        boxes = [[one.box.left, one.box.top, one.box.right, one.box.bottom] for one in found.objects]
        theirs = [
            [float(one["bndbox"][side]) - 1 for side in ("xmin", "ymin", "xmax", "ymax")]
            for one in told["annotation"]["object"]
        ]
        assert boxes == [pytest.approx(one) for one in theirs]
        assert [one.name for one in found.objects] == [one["name"] for one in told["annotation"]["object"]]
        # A loop that knows no XML: the text between tags, in the order of the file.
        text = (root / "Annotations" / f"{name}.xml").read_text()
        plain = []
        for part in text.split("<object>")[1:]:
            sides = [part.split(f"<{side}>")[1].split("<")[0] for side in ("xmin", "ymin", "xmax", "ymax")]
            plain.append([float(one) - 1 for one in sides])
        assert boxes == [pytest.approx(one) for one in plain]


PIECES = (b"<", b">", b"&", b"\0", b"-9", b"1e400", b"<!DOCTYPE a>", b"\xff\xfe", b"]]>")
CHANGES = st.tuples(
    st.integers(0, 3), st.floats(0, 1, exclude_max=True), st.sampled_from(PIECES), st.integers(1, 60)
)


@given(st.lists(CHANGES, min_size=1, max_size=4))
def test_damaged_bytes_are_read_or_refused_in_one_line(tmp_path_factory: pytest.TempPathFactory, changes):
    kept = annotation(drawn("dog", 1, 2, 10, 20), drawn("cat", 3, 3, 9.5, 30)).encode()
    for kind, place, piece, length in changes:
        at = int(place * len(kept))
        before, after = kept[:at], kept[at:]
        parts = (b"", piece + after, piece + after[len(piece) :], after[:length] + after)
        kept = before + parts[kind]
    path = tmp_path_factory.getbasetemp() / "damaged.xml"
    path.write_bytes(kept)
    told: list[DataError] = []
    try:
        found = read_boxes(path, told.append)
        for one in found.objects:
            assert one.box.left <= one.box.right
            assert one.box.top <= one.box.bottom
    except DataError as error:
        told.append(error)
    assert all("\n" not in str(error) and len(str(error)) < 1000 for error in told)
