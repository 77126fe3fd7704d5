from __future__ import annotations

import pytest

from otel_logtail.exporters.wording import printable, tls_problem


def test_a_strangers_text_is_one_short_line_that_is_safe_on_a_terminal() -> None:
    assert printable("a\n\tb \x1b[31mc\u202ed") == "a b [31mc d"
    assert len(printable("x" * 1000)) == 300


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        # OpenSSL, through Python
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate (_ssl.c:1006)", "TRUST"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: Hostname mismatch, certificate is not valid for"
         " 'localhost'. (_ssl.c:1006)", "host"),
        ("[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate is not yet valid", "clock"),
        ("[SSL: TLSV13_ALERT_CERTIFICATE_REQUIRED] tlsv13 alert certificate required (_ssl.c:2580)", "set OWN"),
        ("[SSL: SSLV3_ALERT_HANDSHAKE_FAILURE] sslv3 alert handshake failure (_ssl.c:1006)", "set OWN"),
        ("[SSL: SSLV3_ALERT_BAD_CERTIFICATE] sslv3 alert bad certificate (_ssl.c:2580)", "OWN must be"),
        ("[SSL: SSLV3_ALERT_CERTIFICATE_EXPIRED] sslv3 alert certificate expired (_ssl.c:2580)", "renew what OWN"),
        ("[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "PLAIN"),
        # BoringSSL, through gRPC
        ("SSL_ERROR_SSL: error:1000007d:SSL routines:OPENSSL_internal:CERTIFICATE_VERIFY_FAILED: unable to get local"
         " issuer certificate: OK", "TRUST"),
        ("Custom verification check failed with error: UNAUTHENTICATED: Hostname Verification Check failed.", "host"),
        ("CERTIFICATE_VERIFY_FAILED: certificate has expired: OK", "renewed there"),
        ("error:10000418:SSL routines:OPENSSL_internal:TLSV1_ALERT_UNKNOWN_CA", "OWN must be"),
        ("error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER", "PLAIN"),
    ],
)  # fmt: skip
def test_a_tls_error_names_the_expected_certificate(text: str, hint: str) -> None:
    said = tls_problem(text, trust="TRUST", own="OWN", plain="PLAIN")
    assert hint in said
    assert "_ssl.c" not in said
    others = {"TRUST", "OWN", "PLAIN"} - {word for word in ("TRUST", "OWN", "PLAIN") if word in hint}
    assert not any(word in said for word in others)


@pytest.mark.parametrize("text", ["", "[Errno 111] Connection refused", "Socket closed", "EOF occurred in violation"])
def test_an_error_that_is_not_about_tls_is_unchanged(text: str) -> None:
    assert tls_problem(text, trust="TRUST", own="OWN", plain="PLAIN") == ""
