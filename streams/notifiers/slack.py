"""Slack: a message per episode with buttons, and what follows in its thread.

All that came from outside is in `rich_text` blocks, which Slack shows letter by
letter: no markup, no mentions, no links of anybody's making.
"""

import logging
from http.client import HTTPException
from typing import Any, Final
from urllib.error import URLError

import msgspec
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from streams.acknowledging import VERDICTS, Verdict, answerable
from streams.notifiers.message import Message
from streams.notifiers.notifier import ANSWER_SECONDS, Parcel
from streams.sending_policy import (
    Outcome,
    Refuse,
    Retry,
    Sent,
    outcome_of_status,
    retry_after,
)

ACTION: Final[dict[Verdict, str]] = {
    "taken": "leadpulse_taken",
    "unfit": "leadpulse_unfit",
}
"""Ids of the buttons, by which the collector knows what was pressed."""

_GONE: Final = frozenset({"message_not_found", "cant_update_message"})
_OURS_TO_MEND: Final = frozenset(
    {
        "account_inactive",
        "channel_not_found",
        "ekm_access_denied",
        "invalid_auth",
        "is_archived",
        "missing_scope",
        "no_permission",
        "not_authed",
        "not_in_channel",
        "org_login_required",
        "restricted_action",
        "team_access_not_granted",
        "token_expired",
        "token_revoked",
    }
)
"""No fault of the message: somebody mends them, and it can be sent."""
_PASSING: Final = frozenset(
    {"fatal_error", "internal_error", "request_timeout", "service_unavailable"}
)
_LONGEST_HEADER: Final = 150
_MOST_IN_DIGEST: Final = 15
_encode: Final = msgspec.json.Encoder().encode

# The client logs what it sends and what it gets; we log what came of it.
_silent: Final = logging.getLogger("leadpulse.slack")
_silent.setLevel(logging.CRITICAL + 1)

Block = dict[str, Any]


class SlackNotifier:
    """Tells a channel."""

    shows_state = True
    """A message is changed when it is taken up, or cools."""

    def __init__(self, token: str, channel: str, api: str) -> None:
        """Tell `channel` as the bot of `token`."""
        self._channel = channel
        self._client = WebClient(
            token,
            base_url=api,
            timeout=int(ANSWER_SECONDS),
            retry_handlers=[],
            logger=_silent,
        )

    def tell(self, parcel: Parcel) -> Outcome:
        """Post a message, in the thread of its episode if it has one already."""
        _, _, thread = parcel.handle.partition("/")
        return self._call(
            "chat.postMessage",
            channel=self._channel,
            **({"thread_ts": thread} if thread else {}),
            **_content(parcel),
        )

    def show(self, parcel: Parcel) -> Outcome:
        """Let the message say how it stands; one that was deleted is left alone."""
        channel, _, stamp = parcel.handle.partition("/")
        if not stamp:
            return Sent(parcel.handle)
        return self._call("chat.update", channel=channel, ts=stamp, **_content(parcel))

    def _call(self, method: str, **arguments: Any) -> Outcome:
        try:
            answer = self._client.api_call(method, json=arguments)
        except SlackApiError as error:
            return _of_error(error)
        except TimeoutError as error:
            return Retry("timeout", detail=type(error).__name__)
        except (
            SlackClientError,
            URLError,
            HTTPException,
            OSError,
            ValueError,
        ) as error:
            timed_out = isinstance(getattr(error, "reason", None), TimeoutError)
            return Retry(
                "timeout" if timed_out else "unreachable", detail=type(error).__name__
            )
        return Sent(f"{answer.get('channel')}/{answer.get('ts')}")


def _of_error(error: SlackApiError) -> Outcome:
    answer = error.response
    headers = {name: _one(value) for name, value in (answer.headers or {}).items()}
    said = answer.data.get("error", "") if isinstance(answer.data, dict) else ""
    if said in _GONE:
        return Sent()
    if said in {"ratelimited", "rate_limited"}:
        return Retry("rate-limited", retry_after(headers), str(said))
    if said in _OURS_TO_MEND:
        return Retry("credentials", detail=str(said))
    if said in _PASSING:
        return Retry("server-error", retry_after(headers), str(said))
    if answer.status_code is not None and answer.status_code != 200:  # noqa: PLR2004
        return outcome_of_status(answer.status_code, headers)
    return Refuse("invalid", str(said)[:100])


def _one(value: Any) -> str:
    return str(value[0]) if isinstance(value, list) and value else str(value)


def _content(parcel: Parcel) -> dict[str, Any]:
    """Return what a message shows, and what notifications of it say."""
    first = parcel.first
    if len(parcel.messages) > 1:
        blocks = [
            block
            for message in parcel.messages[:_MOST_IN_DIGEST]
            for block in (*_head(message), {"type": "divider"})
        ]
    else:
        blocks = blocks_of(first)
    return {
        "blocks": blocks,
        # Shown on phones, and where blocks are not: Slack reads markup in it.
        "text": escaped(f"{first.title}: {first.heat}"),
        "mrkdwn": False,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "metadata": {
            "event_type": "leadpulse_alert",
            "event_payload": {"key": parcel.key},
        },
    }


def escaped(text: str) -> str:
    """Return a text that Slack shows as it is.

    >>> escaped("<!channel> & co")
    '&lt;!channel&gt; &amp; co'
    """
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def blocks_of(message: Message) -> list[Block]:
    """Return the blocks of one message."""
    words = message.words
    blocks = _head(message)
    if message.mentions and message.shown == "open":
        blocks.append(
            _rich(_section(*({"type": "user", "user_id": m} for m in message.mentions)))
        )
    changed = " ".join(filter(None, (message.changed, message.note)))
    blocks.append(_rich(_section(_text(changed))))
    if message.reasons:
        blocks.append(
            _rich(
                _section(_text(words["heading.why"], bold=True)),
                {
                    "type": "rich_text_list",
                    "style": "bullet",
                    "elements": [_section(_text(each)) for each in message.reasons],
                },
            )
        )
    if message.next_action:
        blocks.append(
            _rich(
                _section(
                    _text(f"{words['heading.next']}: ", bold=True),
                    _text(message.next_action),
                )
            )
        )
    if message.facts:
        blocks.append(
            _rich(
                *(
                    _section(_text(f"{fact.name}: ", bold=True), _text(fact.value))
                    for fact in message.facts
                )
            )
        )
    if buttons := _buttons(message):
        blocks.append({"type": "actions", "elements": buttons})
    blocks.append(
        {
            "type": "context",
            "elements": [
                {"type": "plain_text", "text": message.decided, "emoji": False}
            ],
        }
    )
    return blocks


def _head(message: Message) -> list[Block]:
    mark = "✓ " if message.shown != "open" else ""
    blocks: list[Block] = [
        {
            "type": "header",
            "text": {
                "type": "plain_text",
                "text": f"{mark}{message.kind}"[:_LONGEST_HEADER],
                "emoji": False,
            },
        },
        _rich(
            _section(_text(message.who, bold=True), _text("\n"), _text(message.heat))
        ),
    ]
    if message.state:
        blocks.append(_rich(_section(_text(message.state, italic=True))))
    return blocks


def _buttons(message: Message) -> list[Block]:
    words, links = message.words, message.links
    buttons: list[Block] = []
    if message.shown == "open" and message.alert.kind != "cooled":
        value = _encode(answerable(message.alert)).decode()
        buttons = [
            {
                "type": "button",
                "action_id": ACTION[verdict],
                "value": value,
                "text": _plain(words[f"button.{verdict}"]),
                **({"style": "primary"} if verdict == "taken" else {}),
            }
            for verdict in VERDICTS
        ]
    for name, url in (("lead", links.lead), ("account", links.account)):
        if url:
            buttons.append(
                {
                    "type": "button",
                    "action_id": f"leadpulse_open_{name}",
                    "url": url,
                    "text": _plain(words[f"button.{name}"]),
                }
            )
    return buttons


def _plain(text: str) -> Block:
    return {"type": "plain_text", "text": text, "emoji": False}


def _rich(*elements: Block) -> Block:
    return {"type": "rich_text", "elements": list(elements)}


def _section(*elements: Block) -> Block:
    return {"type": "rich_text_section", "elements": list(elements)}


def _text(text: str, *, bold: bool = False, italic: bool = False) -> Block:
    style = {
        name: True for name, wanted in (("bold", bold), ("italic", italic)) if wanted
    }
    return {"type": "text", "text": text, **({"style": style} if style else {})}
