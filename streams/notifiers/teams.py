"""Microsoft Teams: an Adaptive Card to the URL of a workflow.

Texts stand in `TextRun`s, which are not read as Markdown.
"""

from typing import Any, Final

from streams.notifiers.message import Message
from streams.notifiers.notifier import JsonPoster, Parcel
from streams.sending_policy import Outcome, Sent

_MOST_IN_DIGEST: Final = 15

Element = dict[str, Any]


class TeamsNotifier:
    """Posts cards into a channel."""

    shows_state = False
    """A workflow tells no name of what it posted, so it cannot be changed."""

    def __init__(self, url: str) -> None:
        """Post to the workflow at `url`, which is a secret."""
        self._poster = JsonPoster(url)

    def tell(self, parcel: Parcel) -> Outcome:
        """Post one card."""
        return self._poster.post(
            {
                "type": "message",
                "attachments": [
                    {
                        "contentType": "application/vnd.microsoft.card.adaptive",
                        "contentUrl": None,
                        "content": card(parcel),
                    }
                ],
            },
            {"X-Leadpulse-Key": parcel.key},
        )

    def show(self, parcel: Parcel) -> Outcome:
        """Do nothing: the card stays what it was."""
        return Sent(parcel.handle)


def card(parcel: Parcel) -> Element:
    """Return the Adaptive Card that `parcel` is."""
    first = parcel.first
    several = len(parcel.messages) > 1
    body = [
        element
        for message in parcel.messages[:_MOST_IN_DIGEST]
        for element in (_head(message) if several else _all(message))
    ]
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.5",
        "lang": first.locale,
        "rtl": first.rtl,
        "body": body,
        "actions": [] if several else _actions(first),
    }


def _all(message: Message) -> list[Element]:
    words = message.words
    body = [*_head(message), _line(message.changed)]
    if message.note:
        body.append(_line(message.note))
    if message.reasons:
        body.append(_line(words["heading.why"], bold=True))
        body += [_line(f"• {reason}") for reason in message.reasons]
    if message.next_action:
        body.append(
            _runs(
                _run(f"{words['heading.next']}: ", bold=True),
                _run(message.next_action),
            )
        )
    body += [
        _runs(_run(f"{fact.name}: ", bold=True), _run(fact.value))
        for fact in message.facts
    ]
    return [*body, _line(message.decided, subtle=True)]


def _head(message: Message) -> list[Element]:
    head = [
        _line(message.title, bold=True, size="Large"),
        _line(message.heat, bold=True),
    ]
    return [*head, _line(message.state)] if message.state else head


def _actions(message: Message) -> list[Element]:
    words, links = message.words, message.links
    wanted = (
        (words["button.taken"], links.taken),
        (words["button.unfit"], links.unfit),
        (words["button.lead"], links.lead),
        (words["button.account"], links.account),
    )
    return [
        {"type": "Action.OpenUrl", "title": title, "url": url}
        for title, url in wanted
        if url
    ]


def _line(
    text: str, *, bold: bool = False, subtle: bool = False, size: str = "Default"
) -> Element:
    return _runs(_run(text, bold=bold, subtle=subtle, size=size))


def _runs(*runs: Element) -> Element:
    return {"type": "RichTextBlock", "inlines": list(runs)}


def _run(
    text: str, *, bold: bool = False, subtle: bool = False, size: str = "Default"
) -> Element:
    return {
        "type": "TextRun",
        "text": text,
        "weight": "Bolder" if bold else "Default",
        "isSubtle": subtle,
        "size": size,
    }
