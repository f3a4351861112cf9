"""Where steps stand: layers, order, no boxes upon each other, level lines."""

import re

import pytest

from penstock.tfx.report import graph


def _boxes(picture):
    return {box.name: box for box in picture.boxes}


def test_a_chain_is_a_straight_line_from_left_to_right():
    picture = graph.draw({"a": set(), "b": {"a"}, "c": {"b"}})
    step = graph.BOX_WIDTH + graph.GAP_X
    assert [(box.name, box.x - graph.MARGIN) for box in picture.boxes] == [
        ("a", 0),
        ("b", step),
        ("c", 2 * step),
    ]
    assert len({box.y for box in picture.boxes}) == 1
    assert picture.width == 3 * graph.BOX_WIDTH + 2 * graph.GAP_X + 2 * graph.MARGIN


def test_a_step_stands_behind_the_last_of_those_it_waits_for():
    boxes = _boxes(graph.draw({"a": set(), "b": {"a"}, "c": {"a", "b"}, "d": {"a"}}))
    assert boxes["a"].x < boxes["b"].x == boxes["d"].x < boxes["c"].x


def test_boxes_of_a_layer_keep_their_distance_and_lines_pass_beside_boxes():
    waits_for = {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}, "e": {"a", "d"}}
    picture = graph.draw(waits_for)
    columns = {}
    for box in picture.boxes:
        columns.setdefault(box.x, []).append(box.y)
    for tops in columns.values():
        tops.sort()
        for above, below in zip(tops, tops[1:], strict=False):
            assert below - above >= graph.BOX_HEIGHT + graph.GAP_Y - 0.2
    # The line a -> e is level (H) while it passes the two layers between; no box is at its height.
    (line,) = [line for line in picture.lines if (line.start, line.end) == ("a", "e")]
    levels = re.findall(r"([\d.]+),([\d.]+) H", line.path)
    assert len(levels) == 2
    for x, y in levels:
        for box in picture.boxes:
            if box.x == float(x):
                assert not box.y <= float(y) <= box.y + graph.BOX_HEIGHT


def test_everything_lies_inside_the_picture():
    waits_for = {f"s{i}": {f"s{j}" for j in range(i) if (i * j) % 3 == 1} for i in range(12)}
    picture = graph.draw(waits_for)
    assert len(picture.boxes) == 12
    for box in picture.boxes:
        assert 0 <= box.x <= picture.width - graph.BOX_WIDTH
        assert 0 <= box.y <= picture.height - graph.BOX_HEIGHT


def test_no_steps_no_picture():
    picture = graph.draw({})
    assert (picture.boxes, picture.lines, picture.width) == ([], [], 0)


@pytest.mark.parametrize(
    ("wished", "settled"),
    [
        ([0, 50, 100], [0, 50, 100]),  # far enough apart already
        ([0, 0], [-5, 5]),  # ten apart, as near to the wishes as can be
        ([30, 0], [10, 20]),  # the order is kept: both at 15 - 5 and 15 + 5
        ([0, 0, 0], [-10, 0, 10]),
    ],
)
def test_entries_settle_as_near_to_their_wishes_as_order_and_distance_allow(wished, settled):
    offsets = [10 * i for i in range(len(wished))]
    assert graph._settle(wished, offsets) == pytest.approx(settled)
