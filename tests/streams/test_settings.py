"""Settings travel unchanged to a child process, and their page is current."""

from pathlib import Path

import pytest

from streams.settings import PREFIX, Settings, SettingsError, load_settings
from streams.settings_reference import render

PAGE = Path(__file__).parents[2] / "docs" / "settings.md"


def test_a_child_gets_the_same_settings(tmp_path: Path) -> None:
    """What `environ` gives is read back as what it was made from."""
    secret = tmp_path / "keys"
    secret.write_text("web=k1,app=k2\n", encoding="utf-8")
    ours = load_settings(
        {
            "LEADPULSE_WRITE_KEYS_FILE": str(secret),
            "LEADPULSE_CORS_ORIGINS": "https://a.example, https://b.example",
            "LEADPULSE_REDIS_URL": "redis://:pass@h:1/2",
        },
        data_dir=tmp_path,
        clock_origin=5,
        clock_speed=2.5,
    )

    theirs = load_settings(ours.environ())

    assert theirs == ours
    assert theirs.write_keys["app"].get_secret_value() == "k2"


def test_only_what_was_set_is_handed_on() -> None:
    """Defaults stay the child's own."""
    assert load_settings({}).environ() == {}


def test_a_relative_path_is_handed_on_absolute() -> None:
    """A child that runs elsewhere means the same file."""
    environ = load_settings({}, model_path="m.yaml").environ()

    assert environ == {"LEADPULSE_MODEL_PATH": str(Path.cwd() / "m.yaml")}


def test_secrets_do_not_show() -> None:
    """Neither a key nor a password is in the text of the settings."""
    settings = load_settings(
        {"LEADPULSE_WRITE_KEYS": "web=k1"}, redis_url="redis://:pa55@h:1/2"
    )

    assert "k1" not in repr(settings)
    assert "pa55" not in repr(settings)


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({"LEADPULSE_PARTITIONS": "0"}, "LEADPULSE_PARTITIONS: "),
        ({"LEADPULSE_WRITE_KEYS": "k1"}, "source=key"),
        ({"LEADPULSE_WRITE_KEYS_FILE": "/no/such"}, "cannot read /no/such"),
        ({"LEADPULSE_TOPIC_PREFIX": "a b"}, "LEADPULSE_TOPIC_PREFIX: "),
    ],
)
def test_a_wrong_setting_is_named(environ: dict[str, str], told: str) -> None:
    """The error says which setting it is, in one line."""
    with pytest.raises(SettingsError) as refused:
        load_settings(environ)

    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_every_wrong_setting_is_named_at_once() -> None:
    """Two mistakes do not take two attempts to find."""
    environ = {"LEADPULSE_PARTITIONS": "0", "LEADPULSE_CLOCK_SPEED": "-1"}

    with pytest.raises(SettingsError, match=r"PARTITIONS.*CLOCK_SPEED"):
        load_settings(environ)


def test_the_page_of_settings_is_current() -> None:
    """docs/settings.md is what `leadpulse schema settings` writes, and is complete."""
    page = render()

    assert PAGE.read_text(encoding="utf-8") == page
    for name in Settings.model_fields:
        assert f"`{PREFIX}{name.upper()}`" in page
