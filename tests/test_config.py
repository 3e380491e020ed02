"""Settings: which layer wins, what a wrong one is told, that a saved one is complete."""

from __future__ import annotations

import dataclasses
import math
import tomllib

import pytest

from seqtutor import UserError
from seqtutor.config import PretrainConfig, TrainConfig, build, layered, to_toml
from seqtutor.files import read_toml


def test_core_defaults_give_way_to_the_domain_then_the_file_then_what_is_typed(installed):
    assert TrainConfig().updates == 200
    assert TrainConfig().settings == build(TrainConfig, {"domain": "letters"}).settings
    assert TrainConfig(domain="letters").updates == 3  # the record itself knows the domain's defaults
    assert build(TrainConfig, {"domain": "letters"}).updates == 3
    file = {"domain": "letters", "updates": 7, "samples": 9}
    assert build(TrainConfig, file).updates == 7
    found = build(TrainConfig, layered(file, {"updates": 11}))
    assert (found.updates, found.samples, found.learning_rate) == (11, 9, 3e-3)


def test_tables_are_merged_key_by_key():
    file = {"weights": {"rises": 1.0, "variety": 2.0}, "options": {"longest": 5}}
    typed = {"weights": {"variety": 3.0}, "seed": 1}
    assert layered(file, typed) == {
        "weights": {"rises": 1.0, "variety": 3.0},
        "options": {"longest": 5},
        "seed": 1,
    }
    assert file["weights"]["variety"] == 2.0


@pytest.mark.parametrize(
    ("key", "value", "wanted"),
    [
        ("updates", "many", "a whole number, not 'many'"),
        ("updates", 2.5, "a whole number, not 2.5"),
        ("updates", True, "a whole number, not True"),
        ("temperature", "hot", "a number, not 'hot'"),
        ("temperature", False, "a number, not False"),
        ("objective", 3, "text, not 3"),
        ("weights", [1.0], r"a table, not \[1.0\]"),
        ("options", "longest", "a table, not 'longest'"),
    ],
)
def test_a_wrong_type_names_key_place_and_what_is_wanted(key, value, wanted):
    with pytest.raises(UserError, match=f"^{key} in run.toml must be {wanted}$"):
        build(TrainConfig, {key: value}, "run.toml")


def test_a_whole_number_is_a_number():
    found = build(TrainConfig, {"temperature": 2})
    assert (found.temperature, type(found.temperature)) == (2.0, float)


def test_an_unknown_key_comes_with_the_nearest_name():
    with pytest.raises(UserError, match=r"unknown key in run.toml 'temprature'; did you mean 'temperature'\?"):
        build(TrainConfig, {"temprature": 1.0}, "run.toml")
    with pytest.raises(UserError, match=r"unknown key in prior.toml 'epoch'; did you mean 'epochs'\?"):
        build(PretrainConfig, {"epoch": 1.0}, "prior.toml")


def test_an_unknown_objective_comes_with_the_nearest_name():
    with pytest.raises(UserError, match=r"unknown objective 'ps'; did you mean 'psi'\? \(there are: .*g.*q"):
        TrainConfig(objective="ps")
    with pytest.raises(UserError, match=r"unknown value of repeats 'unpayed'; did you mean 'unpaid'\?"):
        TrainConfig(repeats="unpayed")


@pytest.mark.parametrize("temperature", [0, -1.0])
def test_a_temperature_of_nothing_is_refused_with_what_to_type(temperature):
    with pytest.raises(UserError, match=f"temperature must be above 0, not {temperature}.*try 0.1"):
        TrainConfig(temperature=temperature)


@pytest.mark.parametrize(
    "name", ["updates", "rollouts", "learning_rate", "learning_steps", "batch", "replay", "span", "samples", "best_of"]
)
def test_a_count_is_above_nothing(name):
    with pytest.raises(UserError, match=f"{name} must be above 0, not 0"):
        TrainConfig(**{name: 0})


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        (TrainConfig, "gamma", 1.5),
        (TrainConfig, "target_rate", -0.1),
        (TrainConfig, "failures", 2.0),
        (PretrainConfig, "dropout", 1.0),
        (PretrainConfig, "held_out", 0.0),
    ],
)
def test_a_share_lies_in_its_range(cls, name, value):
    with pytest.raises(UserError, match=f"{name} must lie between .* not {value}"):
        cls(**{name: value})


@pytest.mark.parametrize(
    "config",
    [
        TrainConfig(),
        TrainConfig(domain="letters", weights={"rises": 0.1 + 0.2}, options={"longest": 5}, learning_rate=1e-5),
        PretrainConfig(),
        PretrainConfig(domain="letters", data='a "b" \\ ä.txt', options={"longest": 5}),
    ],
)
def test_a_saved_config_is_complete_and_comes_back(config, tmp_path, installed):
    path = tmp_path / "config.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    names = {f.name for f in dataclasses.fields(config)} - {"settings"}
    names |= {f.name for f in dataclasses.fields(config.settings)} if isinstance(config, TrainConfig) else set()
    assert set(tomllib.loads(path.read_text(encoding="utf-8"))) == names
    assert build(type(config), read_toml(path)) == config


def test_a_config_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(UserError, match=r"there is no config file .*missing\.toml"):
        read_toml(tmp_path / "missing.toml")
    for content in (b"updates = \n", b"\xff\xfe\x00"):
        (tmp_path / "bad.toml").write_bytes(content)
        with pytest.raises(UserError, match=r"cannot read the config .*bad\.toml"):
            read_toml(tmp_path / "bad.toml")
    with pytest.raises(UserError, match="cannot read the config"):
        read_toml(tmp_path)


@pytest.mark.parametrize("cls", [TrainConfig, PretrainConfig])
def test_every_setting_has_a_help_text(cls):
    for field in dataclasses.fields(cls):
        assert (
            field.name in ("weights", "options", "terms", "settings", "log_digests") or field.metadata["help"].strip()
        )


def test_each_objective_owns_its_numbers_and_refuses_those_of_another():
    assert TrainConfig(objective="ppo", clip=0.3).settings.clip == 0.3
    with pytest.raises(UserError, match=r"objective 'tb' has no clip \(given: 0.3\); of these it has: .*huber"):
        TrainConfig(objective="tb", clip=0.3)
    with pytest.raises(UserError, match=r"unknown setting 'hubr'; did you mean 'huber'"):
        TrainConfig(objective="tb", hubr=0.3)
    flat = tomllib.loads(to_toml(TrainConfig(objective="ppo", clip=0.3)))
    assert (flat["clip"], "settings" in flat, "span" in flat) == (0.3, False, False)


def test_the_domains_defaults_for_one_objective_are_no_mistake_with_another():
    """Molecules have a span for the bootstrapping objectives; reinforce, which has none, is told nothing."""
    found = TrainConfig(domain="molecules", objective="reinforce")
    assert not hasattr(found.settings, "span")
    assert TrainConfig(domain="molecules", objective="psi").settings.span == 100


def test_a_gap_may_be_squared_without_an_end_and_nothing_else_may_be_endless():
    assert TrainConfig(domain="molecules", huber=math.inf).settings.huber == math.inf
    with pytest.raises(UserError, match=r"huber must lie between 0\.001 and inf, not nan"):
        TrainConfig(domain="molecules", huber=math.nan)
    with pytest.raises(UserError, match="learning_rate must be above 0, not inf"):
        TrainConfig(domain="molecules", learning_rate=math.inf)
