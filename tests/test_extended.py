"""Extended positional embeddings: what heads do that are fed them alone."""

from dataclasses import replace

import numpy as np
import pytest

from gpt2_helix.measure import extended
from gpt2_helix.models.readings import Readings, Tokens
from tiny_models import HEADS, random_model

QUERIES = slice(3, 40)


def on(tokens: Tokens, n_draws: int = 16) -> Readings:
    drawn = tokens.draw(n_draws, 40, 16)
    return replace(random_model().attention_alone, tokens=drawn, queries=QUERIES, _known={})


def test_with_silent_tokens_the_stream_is_its_extended_embedding_whatever_the_layer() -> None:
    ours = on(Tokens(1e-6))
    run = ours.doctored("intact", HEADS)
    found = extended.read_means(ours, HEADS, run)
    np.testing.assert_allclose(found[0], run.profile.mean(axis=0), atol=1e-5)
    np.testing.assert_allclose(found[1:], found[:1].repeat(8, axis=0), atol=1e-5)


def test_extended_embeddings_and_content_are_parts_of_the_same_stream() -> None:
    found = random_model().measure(extended.fed)
    for head, whole in found.whole.items():
        content = found.kept_from_content[head]
        assert content.mean == pytest.approx(found.from_content[head] / whole, rel=1e-3)
        kept, alone = found.kept_from_extended[head], found.from_extended[head]
        assert kept.mean == pytest.approx(alone.mean / whole, rel=0.05)
        for estimate in (content, kept, alone):
            assert estimate.low < estimate.mean < estimate.high
        assert kept.method == alone.method == "jackknife"
        assert found.profile[head][1] == alone


def test_what_is_left_of_the_tokens_is_corrected_for() -> None:
    """What few draws give is nearer to what many give with the correction than without it."""
    ours = on(Tokens(0.6), 1600)
    whole = ours.doctored("intact", HEADS)
    truth = extended.read_means(ours, HEADS, whole)[0]
    plain, corrected = [], []
    for first in range(0, 800, 8):
        some = {
            name: value[first : first + 8]
            for name, value in vars(whole).items()
            if name not in {"rows", "entering"}
        }
        entering = {layer: pairs[first : first + 8] for layer, pairs in whole.entering.items()}
        found = extended.read_means(ours, HEADS, replace(whole, entering=entering, **some))
        plain.append(found[0])
        corrected.append(
            [[extended._corrected(found[:, i, k]).mean for k in range(13)] for i in range(2)]
        )
    far, near = (np.abs(np.mean(some, axis=0) - truth).max() for some in (plain, corrected))
    assert near < far / 2


def test_what_is_kept_is_that_of_each_head() -> None:
    found = random_model().measure(extended.fed_averaged)
    for name, by_head in found.kept.items():
        for head, kept in by_head.items():
            expected = found.attention[name][head].mean / found.attention["intact"][head].mean
            assert kept.mean == pytest.approx(expected, rel=0.05)
