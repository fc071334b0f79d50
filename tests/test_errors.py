"""What is kept from the user, and that it stays so nowhere else."""

import threading
import warnings
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from vlx.errors import quietly
from vlx.images.files import open_image


def test_the_named_warnings_are_kept_back_and_no_others():
    with quietly("no .* matter", UserWarning):
        warnings.warn("no great matter", UserWarning, stacklevel=1)
        with pytest.raises(DeprecationWarning):
            warnings.warn("no great matter", DeprecationWarning, stacklevel=1)
    with pytest.raises(UserWarning):
        warnings.warn("no great matter", UserWarning, stacklevel=1)


def test_filters_are_put_back_whichever_thread_ends_first():
    before, inside, ended = list(warnings.filters), threading.Event(), threading.Event()

    def first() -> None:
        with quietly():
            inside.set()
            ended.wait(0.3)  # long enough for another thread to begin, were it let in

    thread = threading.Thread(target=first)
    thread.start()
    assert inside.wait(10)
    with quietly():
        ended.set()
        thread.join(10)
    assert list(warnings.filters) == before


def test_threads_that_open_images_leave_the_filters(tmp_path):
    path = tmp_path / "photo.png"
    Image.fromarray(np.zeros((40, 50, 3), np.uint8)).save(path)
    before = list(warnings.filters)
    with ThreadPoolExecutor(4) as pool:
        assert len(list(pool.map(open_image, [path] * 100, timeout=60))) == 100
    assert list(warnings.filters) == before
