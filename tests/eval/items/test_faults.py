"""What is damaged, refused or failed is never mixed, and every reason says what it means."""

import re
from pathlib import Path

from vlx.eval.items.faults import DAMAGED, FAILED, REASONS, REFUSED, Fault, Faults, meaning, told

ROOT = Path(__file__).parents[3] / "eval"


def test_the_three_kinds_have_no_reason_in_common() -> None:
    assert len(DAMAGED | REFUSED | FAILED) == len(DAMAGED) + len(REFUSED) + len(FAILED)
    assert REASONS.keys() >= DAMAGED | REFUSED | FAILED


def test_every_reason_that_rows_give_is_explained() -> None:
    given: set[str] = set()
    for folder in ("items", "tasks", "measures"):
        for path in (ROOT / folder).glob("*.py"):
            text = path.read_text(encoding="utf-8")
            given |= set(re.findall(r'(?:Outcome\(None, |LeftOut\(|left_out=)"([a-z_]+)"', text))
    assert len(given) > 12
    unused = {"no_answer", "no_pairs"}  # of measures that no evaluation scores items by
    assert {reason for reason in given if not meaning(reason)} <= unused
    assert meaning("control_zero_map").startswith("of the control: ")
    assert meaning("control_x") == meaning("x") == ""


def test_faults_are_counted_and_the_first_by_its_id_is_kept() -> None:
    faults = Faults()
    for item, reason, detail in [
        ("b", "no_image", "no b.jpg"), ("a", "no_image", "no a.jpg"), ("c", "not_finite", "nan"),
        ("d", "zero_map", ""), ("e", None, ""), ("0", "no_image", ""),
    ]:  # fmt: skip
        faults.add(item, reason, detail)
    assert faults.found == {"no_image": Fault(3, "a", "no a.jpg"), "not_finite": Fault(1, "c", "nan")}
    assert (faults.count(), faults.count(FAILED), faults.count(REFUSED)) == (3, 1, 0)
    assert told(faults.found, DAMAGED) == ["no_image 3, the first: no a.jpg"]
    assert told({"no_image": Fault(1, "7", "")}, DAMAGED) == ["no_image 1, the first: 7"]
