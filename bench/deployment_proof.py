"""That a deployment's topics prove what was measured: no figure without it."""

from bench.peers.proof import WrongResultError
from streams.model_files import read_model
from streams.settings import Settings
from streams.verify import verify

_SHOWN = 5


def proved(settings: Settings, events: int) -> str:
    """Return in words that every score is what a replay of its events gives.

    As `leadpulse verify` does it, once the worker has stopped: every one of the
    `events` records is counted once, every state is what was published last.

    Raises
    ------
    WrongResultError
        When anything speaks against it, or less was proved than was sent.
    """
    report = verify(settings, read_model(None))
    if not report.clean:
        raise WrongResultError("\n  ".join(map(str, report.findings[:_SHOWN])))
    if report.proved["replay"] == 0 or report.proved["events"] < events:
        msg = f"too little was proved: {dict(report.proved)} of {events} records"
        raise WrongResultError(msg)
    return (
        f"proved: {report.proved['events']:,} events counted once, "
        f"{report.proved['replay']:,} leads scored as a replay scores them, "
        f"{report.proved['sequences']:,} updates in sequence"
    )
