import math

from vlx.eval.measures.statistics import Outcome, summarise
from vlx.eval.runs.tables import latex_table, markdown_table

ROWS = {
    "Grad-CAM": summarise([1.0, 3.0, Outcome(math.inf), Outcome(None, "zero_map")]),
    "a|b_c & 50%": summarise([]),
}


def test_markdown_states_numbers_counts_and_protocol():
    text = markdown_table(ROWS, protocol="box ratio, 5 boxes an image")
    lines = text.splitlines()
    assert len({line.replace(r"\|", "").count("|") for line in lines[:4]}) == 1
    assert lines[2].startswith("| Grad-CAM | 2.000 | 1.000 | 1.414 | 1.000 to 3.000 | 3.000 |")
    assert "zero_map 1, infinite 1" in lines[2]
    assert lines[3].startswith(r"| a\|b_c & 50% |  |  |  |  |  |  | 0 | none |")
    assert "Protocol: box ratio, 5 boxes an image. Standard error" in text
    assert "95% percentile bootstrap over items" in text


def test_latex_escapes_and_keeps_every_cell():
    text = latex_table(ROWS, protocol="tolerance 15_px", digits=2)
    assert r"a|b\_c \& 50\%" in text
    assert r"zero\_map 1, infinite 1" in text
    rows = [line for line in text.splitlines() if line.endswith(r"\\")]
    assert len(rows) == 3
    assert {line.replace(r"\&", "").count("&") for line in rows} == {8}
    assert r"tolerance 15\_px" in text


def test_the_note_names_clusters_and_level():
    rows = {"x": summarise([1.0, 2.0], ["a", "b"], level=0.9)}
    assert "90% percentile bootstrap over clusters" in markdown_table(rows, protocol="p.")


def test_errors_by_image_stand_beside_those_of_items():
    values, images = [0.0, 0.0, 1.0, 1.0], ["a", "a", "b", "b"]
    alone, grouped = {"x": summarise(values)}, {"x": summarise(values, images)}
    text = markdown_table(alone, protocol="P", by_image=grouped)
    head, _, line = text.splitlines()[:3]
    cells = dict(zip(head.split("|"), line.split("|"), strict=True))
    # SD/√n = 0.57735/2; two clusters with residual sums -1 and 1: √(2/1 · 2)/4 = 0.5
    assert cells[" s.e. "] == " 0.289 "
    assert cells[" s.e. by image "] == " 0.500 "
    assert cells[" interval by image "] == " 0.000 to 1.000 "
    assert "percentile bootstrap over items, and over images" in text
    tex = latex_table(alone, protocol="P", by_image=grouped)
    assert r"\begin{tabular}{lrrrrrrrrrl}" in tex
    assert tex.splitlines()[3].count("&") == 10


def test_rows_of_patented_methods_bear_their_notice():
    rows = {"c_mwp": summarise([1.0, 3.0])}
    for table in (markdown_table(rows, protocol="P"), latex_table(rows, protocol="P")):
        assert "Notice: MWP and c-MWP are excitation backprop, which is patented (US 9,846,840 B1)" in table
    assert "Notice" not in markdown_table(ROWS, protocol="P")
