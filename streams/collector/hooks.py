"""The door of the registry's providers: key, signature, events, answer."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace
from starlette.requests import Request

from schemas.event import Event
from schemas.time import Instant
from schemas.workspace import split_source
from streams.collector.adapters.provider import (
    Envelope,
    Incoming,
    Outcome,
    Provider,
    Reply,
    Taken,
    Trust,
)
from streams.collector.adapters.registry import PROVIDERS
from streams.collector.fetching import Fetching, Get
from streams.collector.intake import Answer, Intake, Take, verdict_body
from streams.collector.verdict import RefusedError, Rejection
from streams.metrics import COLLECTOR_PROVIDER_EVENTS
from streams.settings import PREFIX, Settings, SettingsError

_LONGEST_TYPE: Final = 40
_MOST_TYPES: Final = 10
_encode: Final = msgspec.json.Encoder().encode


class Hooks:
    """Takes in what providers send."""

    def __init__(
        self,
        settings: Settings,
        intake: Intake,
        get: Get,
        providers: Iterable[Provider] = PROVIDERS,
    ) -> None:
        """Know the secrets of `providers`, and what to fetch with."""
        self._intake = intake
        self._fetch = Fetching(get)
        self._secrets = {
            name: tuple(secret.get_secret_value() for secret in secrets)
            for name, secrets in settings.webhook_secrets.items()
        }
        self._check(settings, sorted(provider.name for provider in providers))
        self._unsigned = frozenset(settings.webhook_unsigned)
        self._window = settings.webhook_replay_seconds
        self._public_url = settings.public_url.rstrip("/")

    def _check(self, settings: Settings, known: Sequence[str]) -> None:
        """Refuse settings of providers that there are not."""
        for variable, names in (
            ("WEBHOOK_SECRETS", [split_source(name)[1] for name in self._secrets]),
            ("WEBHOOK_UNSIGNED", settings.webhook_unsigned),
        ):
            for name in names:
                if name not in known:
                    msg = (
                        f"{PREFIX}{variable}: there is no provider {name!r}; "
                        f"known are {', '.join(known)}"
                    )
                    raise SettingsError(msg)

    def take_for(self, provider: Provider) -> Take:
        """Return what takes in the requests of one provider."""

        async def take(request: Request, answer: Answer) -> None:
            if provider.refusal is not None:
                answer.dress = _dresser(provider.refusal)
            incoming = self._incoming(request)
            source, key = self._known(provider.keys(incoming))
            if source is None and provider.keys_in_body is None:
                raise _keyless()
            answer.source = source
            if source is not None:
                self._intake.rates.admit(source)
            body = await self._intake.body(request, answer)
            incoming = replace(incoming, body=body)
            if source is None and provider.keys_in_body is not None:
                source, key = self._known(provider.keys_in_body(incoming))
                if source is None:
                    raise _keyless()
                answer.source = source
                self._intake.rates.admit(source)
            assert source is not None  # noqa: S101 - refused above otherwise
            now = self._intake.clock.now()
            if provider.guard is not None:
                trust = self._trust(provider, source, key, now)
                reply = await provider.guard(incoming, trust)
                if reply is not None:
                    _put(answer, reply)
                    return
            await self._keep(request, answer, provider, incoming, source, now)

        return take

    async def _keep(  # noqa: PLR0917 - what is known of one request
        self,
        request: Request,
        answer: Answer,
        provider: Provider,
        incoming: Incoming,
        source: str,
        now: Instant,
    ) -> None:
        workspace, name = split_source(source)
        envelope = Envelope(source=name, workspace=workspace, received_at=now)
        taken = self._within_limits(provider.adapt(incoming, envelope), answer.size)
        await self._intake.store(
            request,
            answer,
            source=source,
            events=taken.events,
            refused=taken.refused,
            now=now,
        )
        _count(provider, taken)
        answer.ignored = _types(taken.ignored)
        outcome = Outcome(
            accepted=len(taken.events),
            refused=taken.refused,
            ignored=len(taken.ignored),
        )
        if provider.answer_to is not None:
            _put(answer, provider.answer_to(incoming, outcome))
            return
        if provider.answer is not None:
            _put(answer, provider.answer(outcome))
            return
        # What could not be taken is kept as a dead letter; sent again, it would be
        # the same, so nobody is asked to.
        answer.body = {
            "success": True,
            "accepted": outcome.accepted,
            "ignored": outcome.ignored,
            "rejected": [verdict_body(one) for one in outcome.refused],
        }

    def _incoming(self, request: Request) -> Incoming:
        url = str(request.url)
        if self._public_url:
            path = request.url.path
            query = request.url.query
            url = f"{self._public_url}{path}{'?' if query else ''}{query}"
        return Incoming(
            method=request.method,
            url=url,
            headers=dict(request.headers),
            query=dict(request.query_params),
            path=dict(request.path_params),
        )

    def _known(self, keys: Sequence[str]) -> tuple[str | None, str]:
        """Return the source of the first known key and the key; None without keys."""
        if not keys:
            return None, ""
        return self._intake.keys.first_known(keys)

    def _trust(self, provider: Provider, source: str, key: str, now: Instant) -> Trust:
        workspace, _ = split_source(source)
        return Trust(
            secrets=self._secrets.get(f"{workspace}/{provider.name}", ()),
            write_key=key,
            now=now,
            fetch=self._fetch,
            window_seconds=self._window,
            unsigned=provider.name in self._unsigned,
        )

    def _within_limits(self, taken: Taken, size: int) -> Taken:
        """Return what was taken; events too large or too many are refused."""
        limits = self._intake.limits
        if size <= limits.event_bytes and len(taken.events) <= limits.batch_events:
            return taken
        kept = Taken(refused=[*taken.refused], ignored=taken.ignored)
        for index, event in enumerate(taken.events):
            raw = _encode(event)
            verdict: Event | Rejection = event
            if len(kept.events) >= limits.batch_events:
                detail = f"a request holds at most {limits.batch_events} events"
                verdict = Rejection("too-large", detail, event.id)
            elif len(raw) > limits.event_bytes:
                detail = f"{len(raw)} bytes; an event has at most {limits.event_bytes}"
                verdict = Rejection("too-large", detail, event.id)
            kept.add(verdict, index=index, raw=raw)
        return kept


def _keyless() -> RefusedError:
    msg = "put the write key in the path, in `?write_key=` or in basic auth"
    # Amazon SNS offers the credentials of its URL only when it is asked for them.
    headers = {"WWW-Authenticate": 'Basic realm="write key", charset="UTF-8"'}
    return RefusedError(401, "missing-write-key", msg, headers=headers)


def _put(answer: Answer, reply: Reply) -> None:
    answer.status = reply.status
    answer.content = reply.body
    answer.content_type = reply.content_type
    answer.headers = dict(reply.headers)


def _dresser(
    refusal: Callable[[RefusedError], Reply],
) -> Callable[[Answer, RefusedError], None]:
    def dress(answer: Answer, refused: RefusedError) -> None:
        headers = answer.headers
        _put(answer, refusal(refused))
        answer.headers = {**headers, **answer.headers}

    return dress


def _count(provider: Provider, taken: Taken) -> None:
    for verdict, count in (
        ("accepted", len(taken.events)),
        ("refused", len(taken.refused)),
        ("ignored", len(taken.ignored)),
    ):
        if count:
            COLLECTOR_PROVIDER_EVENTS.labels(provider.name, verdict).inc(count)


def _types(ignored: Sequence[str]) -> dict[str, int]:
    """Return the commonest of what was passed over, for the log line."""
    counted = Counter(name[:_LONGEST_TYPE] for name in ignored)
    return dict(counted.most_common(_MOST_TYPES))
