"""The picture of how a verdict comes about shows what guard's comparison says today."""

from __future__ import annotations

import xml.etree.ElementTree as ET

import pytest
from benchmarks.detection import picture
from benchmarks.detection.example import BASELINE, POLL, RATE, Deploy, replayed

from deploy_guard.detect import moments

SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture(scope="module")
def deploy() -> Deploy:
    return replayed()


@pytest.fixture(scope="module")
def drawn(deploy: Deploy) -> ET.Element:
    return ET.fromstring(picture.svg(deploy))  # noqa: S314


def test_the_committed_picture_is_the_one_that_is_drawn(deploy: Deploy) -> None:
    """If this fails, look at what `python -m benchmarks.detection.picture` draws and commit it."""
    assert picture.PICTURE.read_text(encoding="utf-8") == picture.svg(deploy)


def test_the_moments_come_in_the_order_of_the_story(deploy: Deploy) -> None:
    """Suspected after the warm-up, then beyond chance, then taken back, then gone, all drawn."""
    assert deploy.warm_up < deploy.suspected < deploy.proven < deploy.acted < deploy.gone
    assert deploy.gone < deploy.polls[-1].end


def test_the_example_says_what_the_comparison_says(deploy: Deploy) -> None:
    """A replay of the same counts suspects and rolls back at the moments that are drawn."""
    before = [(POLL, poll.old.requests, poll.old.errors) for poll in deploy.polls if poll.end <= 0]
    watch = [poll for poll in deploy.polls if poll.end > 0]
    new = [(POLL, poll.new.requests, poll.new.errors) for poll in watch]
    old = [(POLL, poll.old.requests, poll.old.errors) for poll in watch]
    said = moments(before, new, old)
    assert (said.suspected, said.declared) == (deploy.suspected, deploy.acted)


def test_the_line_crosses_its_level_when_it_is_said_to(deploy: Deploy) -> None:
    """So many errors are beyond chance from the marked poll on, and at none before it."""
    for chance in deploy.chances:
        assert (chance.p_value <= chance.level) == (chance.end >= deploy.proven)


def test_only_the_new_pods_are_worse(deploy: Deploy) -> None:
    """The simulated traffic is what the picture's title says, within chance."""
    before = [poll.old for poll in deploy.polls if poll.end <= 0]
    assert sum(counts.requests for counts in before) == RATE * BASELINE
    errors = sum(counts.errors for counts in before)
    assert abs(errors - 360) < 3 * 360**0.5
    new, old = deploy.seen
    assert old.ratio < 0.002
    assert new.ratio > 0.003


def test_labels_are_in_the_picture_and_large_enough(drawn: ET.Element) -> None:
    """All text is at least 12 pixels high and fits, if letters are not unusually wide."""
    texts = list(drawn.iter(f"{SVG}text"))
    assert len(texts) > 20
    for text in texts:
        assert float(text.attrib["font-size"]) >= 12
        width = 0.58 * float(text.attrib["font-size"]) * len(text.text or "")
        x = float(text.attrib["x"])
        start = {"start": x, "middle": x - width / 2, "end": x - width}[text.attrib["text-anchor"]]
        assert start >= 0
        assert start + width <= picture.WIDTH


def test_who_cannot_see_it_is_told(deploy: Deploy, drawn: ET.Element) -> None:
    """The picture has a title and a description with every moment."""
    title, description = drawn.find(f"{SVG}title"), drawn.find(f"{SVG}desc")
    assert title is not None and title.text
    assert description is not None and description.text
    for moment in (deploy.suspected, deploy.proven, deploy.acted, deploy.gone):
        assert f"{moment} s" in description.text
