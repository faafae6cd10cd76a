from __future__ import annotations

import pytest

from apertis.limiting.status import LimitStatus, stricter

ROOMY = LimitStatus(True, 1500, 1400, 100)
NARROW = LimitStatus(True, 3000, 10, 90)
NARROW_FOR_LONGER = LimitStatus(True, 20, 10, 120)
REFUSED = LimitStatus(False, 3000, 0, 130, 30)
REFUSED_FOR_LONGER = LimitStatus(False, 1500, 0, 160, 60)
ORDER = [ROOMY, NARROW, NARROW_FOR_LONGER, REFUSED, REFUSED_FOR_LONGER]


@pytest.mark.parametrize("looser", range(4))
def test_the_tighter_standing_decides(looser: int) -> None:
    for tight in ORDER[looser + 1 :]:
        assert stricter(ORDER[looser], tight) is tight
        assert stricter(tight, ORDER[looser]) is tight


def test_no_limit_is_never_the_tighter_one() -> None:
    assert stricter(None, ROOMY) is ROOMY
    assert stricter(ROOMY, None) is ROOMY
    assert stricter(None, None) is None


def test_an_admission_tells_limit_remaining_and_reset() -> None:
    assert LimitStatus(True, 1500, 1499, 1_798_761_600).headers() == (
        (b"x-ratelimit-limit", b"1500"),
        (b"x-ratelimit-remaining", b"1499"),
        (b"x-ratelimit-reset", b"1798761600"),
    )


def test_a_refusal_tells_when_to_come_again_too() -> None:
    assert REFUSED.headers() == (
        (b"x-ratelimit-limit", b"3000"),
        (b"x-ratelimit-remaining", b"0"),
        (b"x-ratelimit-reset", b"130"),
        (b"retry-after", b"30"),
    )
