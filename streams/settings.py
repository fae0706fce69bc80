"""Settings: one typed place, read from ``LEADPULSE_*``, checked at start.

Every secret may also be given as ``LEADPULSE_<NAME>_FILE``: the path of a file that
holds it. A wrong setting is one clear line, never a stack trace.
"""

import os
import re
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, ClassVar, Final, Literal, get_args

from pydantic import (
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from schemas.workspace import DEFAULT_WORKSPACE, is_workspace, split_source
from streams.clock import Clock, ScaledClock, SystemClock
from streams.errors import UserError

PREFIX = "LEADPULSE_"
SHORTEST_SECRET = 16
"""Characters of a secret that keys are made of."""
_SMALLEST_SPOOL = 10_000_000
"""Several times the largest request."""
Role = Literal["viewer", "sales", "admin"]
"""What a token allows: each role may do what the one before it may."""
ROLES: Final[tuple[Role, ...]] = get_args(Role)
Port = Annotated[int, Field(ge=0, le=65535)]


class SettingsError(UserError):
    """A setting is missing or wrong; the text says which and what to do."""

    exit_code: ClassVar[int] = 2


class Settings(BaseSettings):
    """Everything an operator can set, for every role."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, extra="ignore", frozen=True, str_strip_whitespace=True
    )

    bootstrap: str = Field(
        "127.0.0.1:9092", description="Kafka bootstrap servers, host:port[,…]."
    )
    redis_url: SecretStr = Field(
        SecretStr("redis://127.0.0.1:6379/0"), description="URL of the view's Redis."
    )
    redis_username: str | None = Field(
        None, description="Name by which Redis knows us."
    )
    redis_password: SecretStr | None = Field(
        None, description="Password of that user, or Redis's one; not in its URL then."
    )
    redis_ca_path: Path | None = Field(
        None,
        description="Certificates (PEM) by which Redis's is judged; the system's if "
        "unset.",
    )
    kafka_security_protocol: Literal[
        "PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"
    ] = Field("PLAINTEXT", description="How Kafka is spoken to: TLS is SSL here.")
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="How a name and a password are shown to Kafka."
    )
    sasl_username: str | None = Field(None, description="Name by which Kafka knows us.")
    sasl_password: SecretStr | None = Field(
        None, validate_default=True, description="Password that goes with it."
    )
    kafka_ca_path: Path | None = Field(
        None,
        description="Certificates (PEM) by which Kafka's is judged; the system's if "
        "unset.",
    )
    kafka_cert_path: Path | None = Field(
        None, description="Our own certificate (PEM), where Kafka asks for one."
    )
    kafka_key_path: Path | None = Field(
        None, description="The private key (PEM) of that certificate."
    )
    kafka_key_password: SecretStr | None = Field(
        None, description="What the private key is encrypted with, if it is."
    )
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9.-]*$",
        description="Put before every topic name, e.g. `staging.`.",
    )
    app_id: str = Field(
        "leadpulse",
        pattern=r"^[A-Za-z0-9.-]+$",
        description="Consumer group prefix: one per independent deployment.",
    )
    partitions: int = Field(
        8, ge=1, le=1024, description="Partitions of each new topic."
    )
    replication_factor: int = Field(
        1, ge=1, le=7, description="Replicas of each new topic (3 in production)."
    )
    data_dir: Path = Field(Path(".leadpulse"), description="Where local state is kept.")
    model_path: Path | None = Field(
        None, description="Model file; the shipped default model if unset."
    )
    mappings_dir: Path | None = Field(
        None,
        description="Folder of mappings (*.yaml) for webhooks and imports, beside "
        "those that are shipped.",
    )
    delivery_path: Path | None = Field(
        None,
        description="File of who is told what and where (docs/delivery.md); `leadpulse "
        "up` starts delivery if it is set.",
    )
    delivery_secrets: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict,
        description="What targets of the delivery file ask for, as `target=secret`, "
        "one a line: tokens, passwords, URLs that are secret.",
    )
    sinks_dir: Path | None = Field(
        None,
        description="Folder of sinks (*.yaml): the CRMs that scores are written into; "
        "none if unset.",
    )
    sink_secrets: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict,
        description="What CRMs know us by, as `sink=secret`, separated by commas or "
        "lines; `sink.refresh=token` for an OAuth app of HubSpot.",
    )
    host: str = Field("127.0.0.1", description="Address that servers bind to.")
    collector_port: Port = Field(8080, description="Collector's HTTP port.")
    web_port: Port = Field(8090, description="Port of the web app and its API.")
    web_url: str = Field(
        "",
        pattern=r"^(https?://[^/?#\s]+)?/?$",
        description="URL by which people reach the web app; with https its cookies are "
        "sent over TLS only. As requested if unset.",
    )
    web_workspace: str = Field(
        DEFAULT_WORKSPACE, description="The workspace whose leads the web app shows."
    )
    web_metrics: Annotated[dict[str, str], NoDecode] = Field(
        {},
        description="Where the web app reads the roles' metrics, as "
        "`worker=http://127.0.0.1:9110/metrics[,…]`; `dns+http://…` asks every address "
        "of the host. Its page Operations is empty if unset.",
    )
    reports_dir: Path | None = Field(
        None,
        description="Folder that `leadpulse learn report` writes into and the web app "
        "reads forecasts and judged drafts from; `reports` in the data directory if "
        "unset.",
    )
    web_rate_limit: str = Field(
        "1200/minute",
        pattern=r"^([1-9]\d{0,8}/(second|minute|hour|day))?$",
        description="Requests that one token (or, without, one address) may send to "
        "one web app; any number if empty.",
    )
    metrics_port: Port = Field(
        9108, description="Prometheus port of this role; 0 picks a free one."
    )
    write_keys: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict,
        description="Write keys as `source=key` or `workspace/source=key`, separated "
        "by commas.",
    )
    access_tokens: Annotated[dict[str, SecretStr], NoDecode] = Field(
        default_factory=dict,
        description="Who may read metrics and the like, as `name=role:token`, "
        "separated by commas or lines; roles are viewer, sales and admin, tokens have "
        "at least 16 characters. Open to all who reach the port if unset.",
    )
    webhook_secrets: Annotated[dict[str, tuple[SecretStr, ...]], NoDecode] = Field(
        default_factory=dict,
        description="What providers sign with, as `provider=secret` or "
        "`workspace/provider=secret`, separated by commas or lines; a provider named "
        "twice may use either.",
    )
    webhook_unsigned: Annotated[tuple[str, ...], NoDecode] = Field(
        (),
        description="Providers that always sign and are trusted by the write key "
        "alone nevertheless: `amazon_ses`.",
    )
    webhook_replay_seconds: int | None = Field(
        None,
        ge=0,
        description="How old a signed time may be; each provider's own limit if "
        "unset, any age with 0.",
    )
    public_url: str = Field(
        "",
        pattern=r"^(https?://[^/?#\s]+)?/?$",
        description="URL by which senders know the collector, for schemes that sign "
        "it; as requested if unset.",
    )
    link_secrets: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Secrets of the links in mails one sends oneself, at least 16 "
        "characters each, separated by commas or lines: the first seals, all open.",
    )
    trusted_proxies: str = Field(
        "",
        description="Addresses or networks of proxies whose `X-Forwarded-For` and "
        "`X-Forwarded-Proto` are believed, separated by commas; none if unset.",
    )
    client_ip: Literal["full", "short", "off"] = Field(
        "short",
        description="What the collector keeps of the address of a browser or a mail's "
        "reader: `full`, `short` (without the last byte; IPv6: the first 48 bits), "
        "or nothing (`off`).",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        ("*",),
        description="Origins whose pages may send, separated by commas; * for all.",
    )
    max_body_bytes: int = Field(
        512_000,
        ge=1_000,
        le=900_000,
        description="Largest request body, after gunzip; what is refused must fit a "
        "dead letter.",
    )
    max_event_bytes: int = Field(
        32_768, ge=256, description="Largest single event, as JSON."
    )
    max_batch_events: int = Field(1_000, ge=1, description="Events in one batch.")
    rate_limit: str = Field(
        "",
        pattern=r"^([1-9]\d{0,8}/(second|minute|hour|day))?$",
        description="Requests that one write key may send to one collector, e.g. "
        "`600/minute`; any number if unset.",
    )
    produce_timeout_seconds: float = Field(
        10.0, gt=0, description="How long Kafka may take to acknowledge."
    )
    spool_max_bytes: int = Field(
        1_000_000_000,
        ge=0,
        description="Events that the collector keeps on disk (in the data directory) "
        "while Kafka is away, in bytes: 0 for none, or at least 10000000.",
    )
    spool_after_seconds: float = Field(
        2.0,
        gt=0,
        description="How long Kafka may take before events go to the collector's disk.",
    )
    session_seconds: float = Field(
        6.0,
        ge=0.5,
        description="Silence after which a worker's partitions go to another; "
        "Apache Kafka allows no less than 6 unless told so.",
    )
    worker_id: str | None = Field(
        None, description="Static group membership id, e.g. the pod's name."
    )
    snapshot_seconds: float = Field(
        300.0,
        ge=0,
        description="How often a worker writes its tables to `data_dir`, so that a "
        "restart reads little of the changelog; 0 for never.",
    )
    standby_replicas: int = Field(
        0,
        ge=0,
        le=10,
        description="How many other workers keep a copy of the states of each "
        "partition, to take it over at once; the same for all workers.",
    )
    dead_letter_ratio: float = Field(
        0.5,
        gt=0,
        le=1,
        description="Share of dead letters at which a worker stops the line.",
    )
    ignore_plus_tags: bool = Field(
        default=False,
        description="Whether ada+news@example.com is ada@example.com; the same for "
        "every role, from the first event on.",
    )
    unlinked_path: Path | None = Field(
        None,
        description="File of identifiers, one a line, that never make two leads one.",
    )
    privacy_key: SecretStr | None = Field(
        None,
        description="Long random secret by which erased people are told apart and "
        "pseudonyms made; the same for every role, and never another one.",
    )
    pseudonymous: bool = Field(
        default=False,
        description="Whether e-mail addresses go on topics as pseudonyms only, made "
        "with the privacy key.",
    )
    raw_retention_days: int = Field(
        365,
        ge=1,
        le=36_500,
        description="How long events and commands are kept on new topics: what a "
        "replay can go back to, and when an erased person's last trace is gone.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="What is logged: this and what is worse."
    )
    log_format: Literal["auto", "json", "console"] = Field(
        "auto", description="`auto`: for people on a terminal, JSON anywhere else."
    )
    otlp_endpoint: str = Field(
        "",
        pattern=r"^(https?://[^?#\s]+)?$",
        description="OTLP/HTTP receiver of traces, without `/v1/traces`, e.g. "
        "`http://127.0.0.1:4318`; no traces if unset. Needs the extra `telemetry`.",
    )
    trace_share: float = Field(
        0.01,
        ge=0,
        le=1,
        description="Share of requests that are traced where the sender has not "
        "decided it (by the flags of its `traceparent`).",
    )
    clock_origin: int | None = Field(
        None, description="Scaled clock: instant (ms) at which it started."
    )
    clock_started: int | None = Field(
        None, description="Scaled clock: wall instant (ms) at which it started."
    )
    clock_speed: float = Field(
        1.0, gt=0, description="Scaled clock: scaled seconds per real second."
    )

    @field_validator("cors_origins", "webhook_unsigned", "link_secrets", mode="before")
    @classmethod
    def _split_list(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(filter(None, (item.strip() for item in re.split(r"[,\n]", value))))

    @field_validator("link_secrets")
    @classmethod
    def _long_enough(cls, secrets: tuple[SecretStr, ...]) -> tuple[SecretStr, ...]:
        if any(len(secret.get_secret_value()) < SHORTEST_SECRET for secret in secrets):
            msg = f"each needs at least {SHORTEST_SECRET} characters"
            raise ValueError(msg)
        return secrets

    @field_validator("redis_ca_path")
    @classmethod
    def _over_tls(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        url = info.data.get("redis_url")
        if value is None or url is None:
            return value
        if not url.get_secret_value().startswith("rediss://"):
            msg = "LEADPULSE_REDIS_URL must begin with rediss:// for it"
            raise ValueError(msg)
        if not value.is_file():
            msg = f"there is no file {value}"
            raise ValueError(msg)
        return value

    @field_validator("sasl_password")
    @classmethod
    def _is_somebody(
        cls, value: SecretStr | None, info: ValidationInfo
    ) -> SecretStr | None:
        protocol = str(info.data.get("kafka_security_protocol"))
        if protocol.startswith("SASL") and not (value and info.data["sasl_username"]):
            msg = f"{protocol} needs it, and LEADPULSE_SASL_USERNAME"
            raise ValueError(msg)
        return value

    @field_validator("web_workspace")
    @classmethod
    def _is_a_workspace(cls, value: str) -> str:
        if not is_workspace(value):
            msg = "lower-case letters, digits and dashes, at most 40, a letter first"
            raise ValueError(msg)
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_networks(cls, value: str) -> str:
        for network in filter(None, (item.strip() for item in value.split(","))):
            ip_network(network, strict=False)  # a ValueError says what is wrong
        return value

    @field_validator("spool_max_bytes")
    @classmethod
    def _room_for_a_request(cls, value: int) -> int:
        if 0 < value < _SMALLEST_SPOOL:
            msg = f"give it 0 (no spool) or at least {_SMALLEST_SPOOL}"
            raise ValueError(msg)
        return value

    @field_validator("write_keys", mode="before")
    @classmethod
    def _split_write_keys(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        pairs: dict[str, str] = {}
        for item in filter(None, (part.strip() for part in value.split(","))):
            source, separator, key = item.partition("=")
            if not (separator and source and key):
                msg = "write it as source=key[,source=key]"
                raise ValueError(msg)
            workspace, name = split_source(source)
            if not (is_workspace(workspace) and name):
                msg = (
                    f"{source!r}: write workspace/source, the workspace in lower-case "
                    "letters, digits and dashes"
                )
                raise ValueError(msg)
            pairs[source] = key
        return pairs

    @field_validator("web_metrics", mode="before")
    @classmethod
    def _split_web_metrics(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        urls: dict[str, str] = {}
        for item in filter(None, (part.strip() for part in re.split(r"[,\n]", value))):
            name, _, url = item.partition("=")
            if not (name and re.fullmatch(r"(dns\+http|https?)://[^\s]+", url)):
                msg = "write it as role=http://host:port/metrics[,…]"
                raise ValueError(msg)
            urls[name] = url
        return urls

    @field_validator("delivery_secrets", mode="before")
    @classmethod
    def _split_delivery_secrets(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        secrets: dict[str, str] = {}
        for line in filter(None, (part.strip() for part in value.splitlines())):
            name, separator, secret = line.partition("=")
            if not (separator and name.strip() and secret.strip()):
                msg = "write it as target=secret, one a line"
                raise ValueError(msg)
            secrets[name.strip()] = secret.strip()
        return secrets

    @field_validator("access_tokens", mode="before")
    @classmethod
    def _split_access_tokens(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        tokens: dict[str, str] = {}
        for item in filter(None, (part.strip() for part in re.split(r"[,\n]", value))):
            name, separator, given = item.partition("=")
            role, _, token = given.partition(":")
            if not (separator and name and role in ROLES):
                msg = f"write it as name=role:token, the role one of {', '.join(ROLES)}"
                raise ValueError(msg)
            if len(token) < SHORTEST_SECRET:
                msg = f"the token of {name} needs at least {SHORTEST_SECRET} characters"
                raise ValueError(msg)
            tokens[name] = given
        return tokens

    @field_validator("webhook_secrets", mode="before")
    @classmethod
    def _split_webhook_secrets(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        secrets: dict[str, tuple[str, ...]] = {}
        for item in filter(None, (part.strip() for part in re.split(r"[,\n]", value))):
            name, separator, secret = item.partition("=")
            workspace, provider = split_source(name.strip())
            if not (separator and provider and secret and is_workspace(workspace)):
                msg = "write it as provider=secret or workspace/provider=secret"
                raise ValueError(msg)
            of = f"{workspace}/{provider}"
            secrets[of] = (*secrets.get(of, ()), secret.strip())
        return secrets

    @property
    def uses_tls(self) -> bool:
        """Whether Kafka is spoken to over TLS."""
        return self.kafka_security_protocol.endswith("SSL")

    @property
    def uses_sasl(self) -> bool:
        """Whether Kafka is shown a name and a password."""
        return self.kafka_security_protocol.startswith("SASL")

    @field_validator("sink_secrets", mode="before")
    @classmethod
    def _split_sink_secrets(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        secrets: dict[str, str] = {}
        for item in filter(None, (part.strip() for part in re.split(r"[,\n]", value))):
            name, separator, secret = item.partition("=")
            if not (separator and name.strip() and secret.strip()):
                msg = "write it as sink=secret[,sink=secret]"
                raise ValueError(msg)
            secrets[name.strip()] = secret.strip()
        return secrets

    def topic(self, name: str) -> str:
        """Return the full name of a topic of this deployment."""
        return f"{self.topic_prefix}{name}"

    @property
    def reports_folder(self) -> Path:
        """Where reports are written and read."""
        return (
            self.data_dir / "reports" if self.reports_dir is None else self.reports_dir
        )

    def environ(self) -> dict[str, str]:
        """Return the ``LEADPULSE_*`` by which another process gets what was set here.

        Secrets are among them, in the clear: for the environment of a child only.
        """
        return {
            f"{PREFIX}{name.upper()}": _to_text(
                value, "\n" if name.endswith("_secrets") else ","
            )
            for name in sorted(self.model_fields_set)
            if (value := getattr(self, name)) is not None
        }

    def clock(self) -> Clock:
        """Return the clock this deployment runs on."""
        if self.clock_origin is None or self.clock_started is None:
            return SystemClock()
        return ScaledClock(
            origin=self.clock_origin,
            started=self.clock_started,
            speed=self.clock_speed,
        )


def _to_text(value: object, separator: str = ",") -> str:
    """Return a setting as one writes it in the environment."""
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Path():
            return str(value.absolute())
        case dict():
            return separator.join(
                f"{name}={_to_text(one)}"
                for name, given in value.items()
                for one in (given if isinstance(given, tuple) else (given,))
            )
        case tuple():
            return separator.join(map(_to_text, value))
        case _:
            return str(value)


def load_settings(environ: Mapping[str, str] = os.environ, **given: object) -> Settings:
    """Return the settings in force: given values, then files, then environment.

    Raises
    ------
    SettingsError
        Naming every wrong setting and what it accepts.
    """
    values: dict[str, object] = {}
    for name in Settings.model_fields:
        variable = f"{PREFIX}{name.upper()}"
        path = environ.get(f"{variable}_FILE")
        if path is not None:
            try:
                values[name] = Path(path).read_text(encoding="utf-8").strip()
            except OSError as error:
                msg = f"{variable}_FILE: cannot read {path}: {error.strerror}"
                raise SettingsError(msg) from None
        elif variable in environ:
            values[name] = environ[variable]
    values.update({name: value for name, value in given.items() if value is not None})
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        lines = (
            f"{PREFIX}{str(problem['loc'][0]).upper()}: {problem['msg']}"
            for problem in error.errors(include_input=False, include_url=False)
        )
        raise SettingsError("; ".join(lines)) from None
