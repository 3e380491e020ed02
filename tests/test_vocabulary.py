"""Tokens and ids, and the domain that gives them."""

from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest
from conftest import replace_installed
from letters import FixedLettersDomain, LettersDomain

from seqtutor import BOS, EOS, PAD, UnknownToken, UserError, Vocabulary, available, load
from seqtutor_music import MusicDomain


def test_ids_follow_the_three_special_ones_and_come_back_as_tokens():
    vocabulary = Vocabulary(["Cl", "C", "=O"])
    assert vocabulary.encode(["C", "Cl", "=O"]) == [4, 3, 5]
    assert vocabulary.decode([4, 3, 5]) == ["C", "Cl", "=O"]
    assert len(vocabulary) == 6
    assert vocabulary.own == ("Cl", "C", "=O")
    assert Vocabulary(vocabulary.own) == vocabulary


@pytest.mark.parametrize("tail", [[EOS, PAD, PAD], [PAD], [EOS, 3, 3]])
def test_decoding_stops_at_the_end_and_passes_over_bos(tail):
    assert Vocabulary("ab").decode([BOS, 3, 4, *tail]) == ["a", "b"]


def test_vocabularies_are_equal_when_tokens_and_order_are():
    assert Vocabulary("ab") == Vocabulary(["a", "b"])
    assert hash(Vocabulary("ab")) == hash(Vocabulary(["a", "b"]))
    assert Vocabulary("ab") != Vocabulary("ba")
    assert Vocabulary("ab") != Vocabulary("abc")


@pytest.mark.parametrize("tokens", [["a", "b", "a"], ["a", "<eos>"]])
def test_a_token_stands_in_a_vocabulary_once(tokens):
    with pytest.raises(ValueError, match=f"repeated: {tokens[-1]}"):
        Vocabulary(tokens)


def test_an_unknown_token_is_named_with_its_text_and_its_place():
    with pytest.raises(UnknownToken) as caught:
        Vocabulary("ab").encode("abxab")
    assert str(caught.value) == "the vocabulary has no token 'x' (token 3 of 'abxab')"
    assert (caught.value.token, caught.value.place) == ("x", 3)
    with pytest.raises(UnknownToken, match=r"token 71 of 'a{57}\.\.\.'"):
        Vocabulary("ab").encode("a" * 70 + "y")


def test_domains_are_listed_without_being_imported(installed):
    assert available() == ["broken", "fixedletters", "letters"]


def test_a_domain_is_loaded_with_its_options(installed):
    assert isinstance(load("letters"), LettersDomain)
    assert isinstance(load("fixedletters"), FixedLettersDomain)
    assert load("letters").max_length == 4
    assert load("letters", {"longest": 7}).max_length == 7


def test_an_unknown_domain_or_option_comes_with_the_nearest_name(installed):
    with pytest.raises(UserError, match=r"unknown domain 'leters'; did you mean 'letters'\?.*broken, fixedletters"):
        load("leters")
    with pytest.raises(UserError, match=r"unknown option of domain 'letters' 'longst'; did you mean 'longest'\?"):
        load("letters", {"longst": 3})


def test_a_missing_module_is_named(installed):
    with pytest.raises(UserError, match=r"there is no module 'seqtutor_tests_have_no_such_module'; install"):
        load("broken")


def test_an_entry_point_that_is_no_domain_is_refused(monkeypatch):
    entry = EntryPoint("odd", "letters:rises", "seqtutor.domains")
    replace_installed(monkeypatch, "domain", {"odd": entry})
    with pytest.raises(UserError, match=r"entry point of domain 'odd'.*must name a subclass"):
        load("odd")


def test_the_installed_package_offers_its_own_domains():
    assert {"molecules", "music"} <= set(available())
    assert isinstance(load("music"), MusicDomain)
