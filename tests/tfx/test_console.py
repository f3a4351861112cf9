"""What a person sees of a run."""

import io
import threading
import time

import pytest
from rich.console import Console

from penstock.tfx.console import LiveConsole, PlainConsole, show_values

DONE = {"seconds": 1.25, "summary": {"examples": 1797, "accuracy": 0.98765}, "gate": None}


def test_plain_lines_say_what_each_step_came_to():
    stream = io.StringIO()
    console = PlainConsole(["Trainer", "Pusher"], "digits-1", stream)
    console.observe("Trainer", "started", {"log": "x"})
    console.observe("Trainer", "retried", {"error": "its worker was killed"})
    console.observe("Trainer", "executed", DONE)
    console.observe("Pusher", "cached", DONE)
    assert stream.getvalue().splitlines() == [
        "run digits-1",
        "Trainer  retried: its worker was killed",
        "Trainer     1.2 s  examples 1,797  accuracy 0.9877",
        "Pusher     cached  examples 1,797  accuracy 0.9877",
    ]


def test_sentences_have_lines_of_their_own_which_are_cut():
    summary = {"bad": 0, "first_bad": "a.png: empty", "warning": "w" * 200, "warnings": 1}
    stream = io.StringIO()
    console = PlainConsole(["ExampleGen"], "r", stream)
    console.observe("ExampleGen", "executed", DONE | {"summary": summary})
    assert stream.getvalue().splitlines()[1:] == [
        "ExampleGen     1.2 s  bad 0  first_bad a.png: empty  warnings 1",
        " " * 22 + "warning: " + "w" * 150 + "…",  # 160 characters in all
    ]


def test_a_long_step_says_how_far_it_is_every_ten_seconds(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("penstock.tfx.console.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    console = PlainConsole(["Trainer"], "r", stream)
    console.observe("Trainer", "started", {"log": "x"})
    for second in range(25):
        now[0] = float(second)
        progress = {"done": second, "total": 25, "values": {"loss": 0.5}}
        console.observe("Trainer", "progress", progress)
    assert stream.getvalue().splitlines()[1:] == [
        "Trainer     10/25  loss 0.5",
        "Trainer     20/25  loss 0.5",
    ]


def test_a_long_step_without_a_total_says_that_it_is_still_running(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("penstock.tfx.console.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    console = PlainConsole(["ExampleGen", "Pusher"], "r", stream)
    console.observe("ExampleGen", "started", {"log": "x"})
    for second in range(35):
        now[0] = float(second)
        if second == 15:
            progress = {"done": None, "total": None, "values": {"examples": 700}}
            console.observe("ExampleGen", "progress", progress)
        console.remind()
    console.observe("ExampleGen", "executed", DONE)
    now[0] = 99.0
    console.remind()
    assert stream.getvalue().splitlines()[1:] == [
        "ExampleGen      10 s, still running",
        "ExampleGen      20 s, still running  examples 700",
        "ExampleGen      30 s, still running  examples 700",
        "ExampleGen     1.2 s  examples 1,797  accuracy 0.9877",
    ]


def test_the_reminder_comes_by_itself_and_ends_with_the_run(monkeypatch):
    monkeypatch.setattr("penstock.tfx.console.PLAIN_PROGRESS_SECONDS", 0.0)
    stream = io.StringIO()
    with PlainConsole(["Trainer"], "r", stream) as console:
        console.observe("Trainer", "started", {"log": "x"})
        deadline = time.monotonic() + 20
        while "still running" not in stream.getvalue() and time.monotonic() < deadline:
            time.sleep(0.05)
    said = stream.getvalue().splitlines()
    assert "console" not in {thread.name for thread in threading.enumerate()}
    assert said[-1].endswith(" s, still running")
    time.sleep(1.2)
    assert stream.getvalue().splitlines() == said


def test_a_step_that_waits_for_a_damaged_input_is_not_said_to_run(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("penstock.tfx.console.time.monotonic", lambda: now[0])
    stream = io.StringIO()
    console = PlainConsole(["Trainer"], "r", stream)
    console.observe("Trainer", "started", {"log": "x"})
    console.observe("Trainer", "damaged", {"error": "The stored file f has changed."})
    now[0] = 99.0
    console.remind()
    assert stream.getvalue().splitlines()[1:] == [
        "Trainer  damaged: The stored file f has changed."
    ]


@pytest.fixture
def drawn():
    """`drawn(console)` renders the live table as text."""

    def drawn(console):
        terminal = Console(width=80, file=io.StringIO(), color_system=None)
        terminal.print(console._table())
        return [line.rstrip() for line in terminal.file.getvalue().splitlines()]

    return drawn


def test_the_live_table_has_a_line_for_each_step_and_a_bar_for_training(drawn):
    console = LiveConsole(["Trainer", "Pusher"], "r")
    console.observe("Trainer", "started", {"log": "x"})
    progress = {"done": 5, "total": 10, "values": {"loss": 0.25, "input_wait": "3%"}}
    console.observe("Trainer", "progress", progress)
    trainer, pusher = drawn(console)
    assert trainer.startswith("▶ Trainer 0.0 s ━")
    assert trainer.endswith(" loss 0.25  input_wait 3%")
    assert pusher == "· Pusher"


def test_the_live_table_keeps_what_went_wrong(drawn):
    console = LiveConsole(["Trainer"], "r")
    console.observe("Trainer", "started", {"log": "x"})
    console.observe("Trainer", "damaged", {"error": "The stored file f has changed."})
    console.observe("Trainer", "executed", DONE)
    assert drawn(console) == [
        "✔ Trainer 1.2 s examples 1,797  accuracy 0.9877",
        "                damaged: The stored file f has changed.",
    ]


def test_a_closed_gate_does_not_look_like_success(drawn):
    console = LiveConsole(["Evaluator"], "r")
    console.observe("Evaluator", "executed", DONE | {"gate": "The model is not blessed."})
    assert drawn(console) == [
        "■ Evaluator 1.2 s examples 1,797  accuracy 0.9877",
        "                  The model is not blessed.",
    ]


def test_values_are_short():
    assert (
        show_values({"loss": 0.123456, "epoch": "3/10", "n": 12}) == "loss 0.1235  epoch 3/10  n 12"
    )
