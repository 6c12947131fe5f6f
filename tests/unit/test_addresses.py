"""Where secrets may be sent: encrypted, or to this machine."""

from urllib.parse import urlsplit

import pytest

from multischema.addresses import is_here, is_private


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.8.9.10", "::1"])
def test_this_machine_has_a_name_and_addresses_that_no_network_leads_to(host: str) -> None:
    assert is_here(host)


@pytest.mark.parametrize(
    "host", ["", "10.0.0.1", "0.0.0.0", "::2", "localhost.example.org", "127.0.0.1.example.org", "host.docker.internal"]
)
def test_every_other_host_is_elsewhere(host: str) -> None:
    assert not is_here(host)


@pytest.mark.parametrize("url", ["https://example.org", "https://10.0.0.1/", "http://localhost:3000", "http://[::1]/x"])
def test_what_is_sent_by_https_or_within_this_machine_is_private(url: str) -> None:
    assert is_private(urlsplit(url))


@pytest.mark.parametrize("url", ["http://example.org", "http://10.0.0.1/", "ftp://localhost/", "localhost", "http:///x"])
def test_what_is_sent_otherwise_is_not(url: str) -> None:
    assert not is_private(urlsplit(url))
