import numpy as np
import pytest

from vlx.errors import VlxError
from vlx.eval.measures.occlusion import occlusion_correlation
from vlx.eval.measures.statistics import Outcome


def test_correlation_on_the_grid_and_on_every_pixel():
    plane = np.arange(28.0 * 28).reshape(28, 28)
    assert occlusion_correlation(plane, plane**3).value == pytest.approx(1.0)
    assert occlusion_correlation(plane, -plane, size=None).value == pytest.approx(-1.0)
    assert occlusion_correlation(np.zeros((28, 28)), plane) == Outcome(None, "flat_map")
    assert occlusion_correlation(plane, np.full((28, 28), 0.1)) == Outcome(None, "flat_occlusion")
    with pytest.raises(VlxError, match="shape"):
        occlusion_correlation(plane, plane[:5])
