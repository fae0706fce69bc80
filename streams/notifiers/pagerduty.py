"""PagerDuty's Events API, version 2: for those who are on call."""

from typing import Any, Final, Literal

from streams.notifiers.message import Message
from streams.notifiers.notifier import JsonPoster, Parcel
from streams.sending_policy import Outcome, Sent

Severity = Literal["critical", "error", "warning", "info"]

_LONGEST_SUMMARY: Final = 1_024


class PagerDutyNotifier:
    """Triggers an incident per alert, and acknowledges or resolves it."""

    shows_state = True
    """An incident is acknowledged when the lead is taken up, resolved at the end."""

    def __init__(self, routing_key: str, url: str, severity: Severity) -> None:
        """Send to the integration of `routing_key`, which is a secret."""
        self._poster = JsonPoster(url)
        self._key = routing_key
        self._severity = severity

    def tell(self, parcel: Parcel) -> Outcome:
        """Trigger an incident; the alert's id keeps it one."""
        if parcel.first.alert.kind == "cooled" or parcel.first.alert.recalls:
            return Sent(parcel.handle)  # `show` has resolved it
        outcome = self._send("trigger", parcel.key, self._payload(parcel.first))
        return Sent(parcel.key) if isinstance(outcome, Sent) else outcome

    def show(self, parcel: Parcel) -> Outcome:
        """Acknowledge or resolve the incident."""
        taken = parcel.first.shown == "taken"
        return self._send("acknowledge" if taken else "resolve", parcel.handle, {})

    def _send(self, action: str, key: str, rest: dict[str, Any]) -> Outcome:
        return self._poster.post(
            {
                "routing_key": self._key,
                "event_action": action,
                "dedup_key": key,
                **rest,
            },
            {},
        )

    def _payload(self, message: Message) -> dict[str, Any]:
        words, links = message.words, message.links
        return {
            "client": "Leadpulse",
            "payload": {
                "summary": f"{message.title}: {message.heat}"[:_LONGEST_SUMMARY],
                "source": "leadpulse",
                "severity": self._severity,
                "timestamp": message.alert.decided_at.isoformat(),
                "component": message.alert.alert,
                "class": message.alert.kind,
                "custom_details": {
                    words["heading.changed"]: message.changed,
                    words["heading.why"]: list(message.reasons),
                    words["heading.next"]: message.next_action,
                    **{fact.name: fact.value for fact in message.facts},
                },
            },
            "links": [
                {"href": url, "text": words[f"button.{name}"]}
                for name, url in (("lead", links.lead), ("account", links.account))
                if url
            ],
        }
