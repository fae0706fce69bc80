"""From a sink's file and its secrets to what writes into the CRM."""

from typing import TYPE_CHECKING, assert_never

from streams.errors import UserError
from streams.sinks.answers import Crm, Writer
from streams.sinks.door import Door
from streams.sinks.language import Sink
from streams.sinks.tokens import KeptToken, OAuthToken, Tokens
from streams.sinks.writing import CrmWriter

if TYPE_CHECKING:
    from streams.settings import Settings


class SinkSecretError(UserError):
    """A sink has no secret."""

    exit_code = 2

    def __init__(self, name: str) -> None:
        """Say what to set."""
        super().__init__(
            f"the sink's secret '{name}' is not set: LEADPULSE_SINK_SECRETS="
            f"{name}=<secret>, or a file with that line in LEADPULSE_SINK_SECRETS_FILE"
        )


def connect(sink: Sink, settings: "Settings") -> Writer:
    """Return what writes into the CRM of `sink`; nothing is connected yet.

    Raises
    ------
    SinkSecretError
        When a secret is not set.
    MissingClientError
        When the vendor's client is not installed.
    WebhookSecretError
        When the secret cannot sign.
    """
    if sink.kind == "webhook":
        from streams.sinks.webhook import WebhookWriter  # noqa: PLC0415 - one of many

        return WebhookWriter(sink, _tokens(sink, settings), settings.clock())
    return connect_crm(sink, settings)


def connect_crm(sink: Sink, settings: "Settings") -> CrmWriter:
    """Return the same for what can be read, too: any kind but a webhook.

    Raises
    ------
    UserError
        As `connect` does.
    """
    return CrmWriter(sink, _crm(sink, _tokens(sink, settings)))


def _crm(sink: Sink, tokens: Tokens) -> Crm:
    # Each brings what only some need.
    match sink.kind:
        case "hubspot":
            from streams.sinks.hubspot import HubSpot  # noqa: PLC0415

            return HubSpot(sink, tokens)
        case "salesforce":
            from streams.sinks.salesforce import Salesforce  # noqa: PLC0415

            return Salesforce(sink, tokens)
        case "pipedrive":
            from streams.sinks.pipedrive import Pipedrive  # noqa: PLC0415

            return Pipedrive(sink, tokens)
        case "odoo":
            from streams.sinks.odoo import Odoo  # noqa: PLC0415

            return Odoo(sink, tokens)
        case "webhook":
            msg = f"what '{sink.sink}' has cannot be read: it takes webhooks"
            raise UserError(msg)
        case _:
            assert_never(sink.kind)


def _tokens(sink: Sink, settings: "Settings") -> Tokens:
    """Return what `sink` is known by: its secret, or tokens that are got for it."""
    secret = _secret(sink.sink, settings)
    if not sink.client_id or sink.kind not in {"hubspot", "salesforce"}:
        return KeptToken(secret)
    app = {"client_id": sink.client_id, "client_secret": secret}
    door = Door(sink.address, sink.timeout / 1000)
    if sink.kind == "salesforce":
        form = {"grant_type": "client_credentials", **app}
        return OAuthToken(door, "/services/oauth2/token", form)
    refresh = _secret(f"{sink.sink}.refresh", settings)
    form = {"grant_type": "refresh_token", "refresh_token": refresh, **app}
    return OAuthToken(door, "/oauth/v1/token", form)


def _secret(name: str, settings: "Settings") -> str:
    if (secret := settings.sink_secrets.get(name)) is None:
        raise SinkSecretError(name)
    return secret.get_secret_value()
