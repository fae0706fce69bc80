"""What Leadpulse says in English."""

from typing import Final

TEMPLATES: Final = {
    # one reason
    "reason": "{what}: {points}",
    "what.event": "{title} {ago}",
    "what.events": "{title} {times}, last {ago}",
    "what.value": "{title} ({value})",
    "what.silence": "{title}, last seen {ago}",
    "what.dormancy": "{title}, last seen {ago}; of {groups} only {share} counts",
    "points.of": "{points} of {whole}",
    "points.most": "{points}, the most this can give",
    "points.least": "{points}, the most this can take",
    "short.no-consent": "No consent to {purpose}",
    "short.value": "{title}: {value}",
    "short.times": "{title} ({times})",
    "short.share": "{title}: only {share} counts",
    "share": "{percent} %",
    "times.2": "twice",
    "times": "{count} times",
    # time
    "now": "just now",
    "ago.minute.1": "a minute ago",
    "ago.minute": "{count} minutes ago",
    "ago.hour.1": "an hour ago",
    "ago.hour": "{count} hours ago",
    "ago.day.1": "a day ago",
    "ago.day": "{count} days ago",
    "on": "on {date}",
    "moment": "{date}, {time} UTC",
    # thresholds
    "threshold.higher": (
        "{alert} begins at {now} points now, not at {usual}: more leads are hot than "
        "can be dealt with."
    ),
    "threshold.lower": (
        "{alert} begins at {now} points now, not at {usual}: there is time for more "
        "leads."
    ),
    # lists and values
    "list.comma": ", ",
    "list.last": "{rest} and {last}",
    "value.yes": "yes",
    "value.no": "no",
    # the sections
    "heading.for": "What speaks for this lead",
    "heading.against": "What speaks against it",
    "heading.unknown": "What is unknown",
    "heading.changes": "What changed since yesterday",
    "heading.way": "What would make it {tier}",
    "heading.thresholds": "Where alerts begin just now",
    "heading.ledger": "How the score adds up",
    "heading.next": "What to do",
    "score": "{score} of {ceiling} points, {tier}, as of {at}",
    "score.grade": "{score} of {ceiling} points, {tier}, grade {grade}, as of {at}",
    "for.none": "Nothing speaks for this lead yet.",
    "unknown.1": (
        "{traits} is unknown; what is unknown counts neither for nor against the lead."
    ),
    "unknown": (
        "{traits} are unknown; what is unknown counts neither for nor against the lead."
    ),
    "changes.rose": "The score rose from {before} to {after} ({points}).",
    "changes.fell": "The score fell from {before} to {after} ({points}).",
    "changes.same": "The score is what it was: {after}.",
    "changes.new": "The lead is new; its score is {after}.",
    "change": "{title}: {points}",
    "change.faded": "{title}, faded: {points}",
    "change.eased": "{title}, weighs less: {points}",
    "way.there": "It is {tier} already: {tier} begins at {target}.",
    "way.missing.1": "1 point is missing: {tier} begins at {target}.",
    "way.missing": "{missing} points are missing: {tier} begins at {target}.",
    "way.plan": "{options} would bring it to {reaches}.",
    "way.short": "Even {options} would only bring it to {reaches}.",
    "way.none": "Nothing that the model knows of would lift it.",
    "way.others": "Each of these would help, too: {options}.",
    "way.option": "“{title}” ({points})",
    "ledger.line": "{title}: {points}",
    "ledger.rule maximum": "{title}, above its maximum of {bound}: {points}",
    "ledger.group cap": "{title}, above the cap of {bound}: {points}",
    "ledger.group floor": "{title}, below the floor of {bound}: {points}",
    "ledger.dormancy": "{title}, for {group}: {points}",
    "ledger.highest score": "Above the highest score of {bound}: {points}",
    "ledger.lowest score": "Below the lowest score of {bound}: {points}",
    "ledger.sum": "Sum: {sum}; the score, rounded: {score}",
    # what machines did
    "machine.opened": "Opened by {who}, not counted",
    "machine.clicked": "Clicked by {who}, not counted",
    "machine.unsubscribed": "Unsubscribed by {who}, not counted",
    "machine.did": "Done by {who}, not counted",
    "machine.times": "{what} ({times})",
    "who.flagged": "a machine",
    "who.staff": "your own staff",
    "who.scanner": "a mail scanner",
    "who.automation": "a program",
    "who.crawler": "a crawler",
    "who.data-centre": "a machine in a data centre",
    "who.proxy": "a mail proxy",
    "heading.machines": "What machines did",
    "machine.when": "{what}, {ago}",
    # what is withheld for want of consent
    "withheld.since": "No consent to {purpose} since {date}",
    "withheld.never": "No consent to {purpose}",
    "withheld.then": "There was no consent to {purpose} at the time",
    "withheld.events.1": "{why}: 1 event is not counted",
    "withheld.events": "{why}: {count} events are not counted",
    "withheld.nothing": "{why}: such events are not counted",
    "withheld.event": "{why}, not counted",
    "heading.withheld": "What is withheld",
    # accounts
    "account.people.1": "One person active within {within}",
    "account.people": "{count} people active within {within}",
    "account.usual.1": "One person in 24 hours, {usual} on a usual day",
    "account.usual": "{count} people in 24 hours, {usual} on a usual day",
    "account.person": "A person with {score} points ({tier})",
    "account.person.did": "A person with {score} points ({tier}): {did}",
    # channels
    "channel.web": "web",
    "channel.email": "email",
    "channel.social": "social",
    "channel.content": "content",
    "channel.crm": "CRM",
    # spans
    "span.second.1": "1 second",
    "span.second": "{count} seconds",
    "span.minute.1": "1 minute",
    "span.minute": "{count} minutes",
    "span.hour.1": "1 hour",
    "span.hour": "{count} hours",
    "span.day.1": "1 day",
    "span.day": "{count} days",
}

TIERS: Final = {"none": "no tier"}

EVENTS: Final = {
    "page": "Page viewed",
    "screen": "Screen viewed",
    "identify": "Said who they are",
}

TRAITS: Final = {
    "age": "age",
    "annual_revenue": "yearly revenue",
    "budget": "budget",
    "city": "city",
    "company": "company",
    "consent": "consent",
    "country": "country",
    "customer_class": "customer class",
    "do_not_call": "wish not to be called",
    "email_domain": "mail domain",
    "employees": "company size",
    "industry": "industry",
    "lifecycle_stage": "journey stage",
    "occupation": "occupation",
    "paid_by": "who pays",
    "seniority": "seniority",
    "title": "job title",
}
