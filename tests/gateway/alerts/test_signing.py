"""Signatures that another implementation of Standard Webhooks takes."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook, WebhookVerificationError

from apertis.gateway.alerts.signing import signed_headers
from apertis.gateway.config.targets import webhook_key
from tests.kit.webhooks import SECRET

KEY = webhook_key(SECRET) or b""


@given(st.dictionaries(st.text(), st.text()))
def test_a_signed_message_is_taken_and_a_changed_one_is_not(fields: dict[str, str]) -> None:
    import json

    body = json.dumps(fields).encode()
    headers = signed_headers(KEY, "msg_1", int(time.time()), body)
    assert Webhook(SECRET).verify(body, headers) == fields
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body + b" ", headers)
    with pytest.raises(WebhookVerificationError):
        Webhook(SECRET).verify(body, {**headers, "webhook-id": "msg_2"})


def test_the_example_of_the_standard_has_the_signature_that_it_says() -> None:
    key = webhook_key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    assert key is not None
    headers = signed_headers(
        key, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, b'{"test": 2432232314}'
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    "secret", ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"]
)
def test_what_is_no_secret_has_no_key(secret: str) -> None:
    assert webhook_key(secret) is None
