"""What a tracking server answers before it takes anything: whether it is there, and what it refuses."""

import ssl
from http import HTTPStatus

from mlflow.exceptions import InvalidUrlException, MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from requests import ConnectionError as NotConnected
from requests import HTTPError, RequestException, Timeout

from cogx_runs.errors import first_line

NOBODY_BEHIND = frozenset({502, 503, 504})
"""What a proxy answers whose server is away; any other answer, also one that asks for a login, is a server's."""
_NO_LOGIN = frozenset({"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"})
_PAGE = "Response body: '<"
"""How MLflow quotes an answer that is HTML."""
_OTHER_NAME = "Invalid Host header"
"""What MLflow answers to a request by a name that is not among its own."""
_NOT_FOUND = "\n404 Client Error: "
"""How MLflow quotes what requests says of a file that a server does not have."""


def health(uri: str, timeout_s: float) -> int:
    """Asks a server once how it is, where MLflow's client would try again for minutes. Returns the status of HTTP.

    It is asked with the login, the certificates and the proxies that MLflow's client takes. Raises MlflowException
    where nothing answers.
    """
    answer = http_request(
        get_default_host_creds(uri), "/health", "GET", max_retries=0, timeout=timeout_s, raise_on_status=False
    )
    return int(answer.status_code)


def cause_of(error: BaseException) -> BaseException:
    """Finds what the network said, which urllib3, requests and MLflow wrap in long texts; else the error itself."""
    chain = [error]
    while (below := chain[-1].__cause__ or chain[-1].__context__) is not None and below not in chain:
        chain.append(below)
    answer = next((found for found in chain if isinstance(found, RequestException)), None)
    return error if answer is None else answer if isinstance(answer, HTTPError) else chain[-1]


def told(error: BaseException) -> str:
    """Tells in one clause what became of a request."""
    if _PAGE in str(error):
        return "answers with a web page, as no tracking server does; check the address and the path in it"
    return "has no such file (HTTP 404)" if is_absent(error) else first_line(cause_of(error))


def is_unanswered(error: BaseException) -> bool:
    """Tells whether a server was not reached, or failed, by an error that MLflow passes on from requests."""
    if isinstance(error, HTTPError) and error.response is not None:
        return error.response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR
    return isinstance(error, NotConnected | Timeout)


def is_absent(error: BaseException) -> bool:
    """Tells whether a server that is there has no such artifact. MLflow calls that INTERNAL_ERROR, and keeps only the
    text of what requests raised."""
    return _NOT_FOUND in str(error)


def refusal(error: Exception) -> str | None:
    """Tells what a server that is there wants, in one clause; None for any other error."""
    cause = cause_of(error)
    if isinstance(cause, ssl.SSLCertVerificationError):
        return (
            f"its certificate is not trusted ({cause.verify_message}); name the one to trust in "
            "MLFLOW_TRACKING_SERVER_CERT_PATH"
        )
    if isinstance(error, InvalidUrlException):
        return "is no address; write it as http://host:5000"
    code = error.error_code if isinstance(error, MlflowException) else ""
    status = cause.response.status_code if isinstance(cause, HTTPError) and cause.response is not None else 0
    if code in _NO_LOGIN or status == HTTPStatus.UNAUTHORIZED:
        return (
            "does not accept the login (HTTP 401); set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN"
        )
    if _OTHER_NAME in str(error):
        return "is not known there by this name (HTTP 403); add it to MLFLOW_SERVER_ALLOWED_HOSTS of the server"
    if status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
        return "its proxy takes no file of this size (HTTP 413); raise its limit, as client_max_body_size of nginx"
    if code == "PERMISSION_DENIED" or status == HTTPStatus.FORBIDDEN:
        return "the login may not do this (HTTP 403); ask for the permission, or use another login"
    return None
