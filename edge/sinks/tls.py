"""Trust and identity of a connection to a database (RFC 8446): always verified, there is no switch to leave it out."""

from __future__ import annotations

import ssl

from edge.plan import Reach


def tls_context(reach: Reach) -> ssl.SSLContext:
    """Reads the files of `reach`; blocks. Raises ssl.SSLError, naming them, where one is missing or does not fit.

    With a private authority only that one is trusted: the system's authorities have no business in a plant network.
    """
    try:
        context = ssl.create_default_context(cafile=reach.ca_file or None)
        if reach.certificate_file:
            # A password is always given: without one OpenSSL would ask for it on the terminal and wait for ever.
            context.load_cert_chain(reach.certificate_file, reach.key_file or None, password=lambda: reach.key_password)
    except OSError as error:
        files = ", ".join(filter(None, (reach.ca_file, reach.certificate_file, reach.key_file)))
        raise ssl.SSLError(ssl.SSL_ERROR_SSL, f"{files}: {error.strerror or error}") from error
    return context
