"""Whatever a library raises on a user's file is one line; what is not about the file passes."""

import pytest

from yelp_stars.checkpoint.refusing import refusing
from yelp_stars.pipeline.errors import Damaged, UserError


class Panic(BaseException):
    """As PyO3 raises it for a panic of Rust."""


@pytest.mark.parametrize(
    "error",
    [
        ValueError("bad\nvalue"),
        OSError("Can't load"),
        Panic("poisoned"),
        ValueError("first\n\nread https://example.org"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_any_error_is_one_line_with_the_advice(error):
    with pytest.raises(Damaged) as caught, refusing("the file is damaged", "download it again"):
        raise error
    message = str(caught.value)
    assert message.startswith(f"the file is damaged ({type(error).__name__}: ")
    assert message.endswith("); download it again")
    assert "https" not in message


@pytest.mark.parametrize(
    "error",
    [UserError("known"), KeyboardInterrupt(), SystemExit(143), OSError(28, "No space left")],
    ids=lambda error: type(error).__name__,
)
def test_what_is_not_about_the_file_passes(error):
    with pytest.raises(type(error)) as caught, refusing("the file is damaged", "download it again"):
        raise error
    assert caught.value is error
