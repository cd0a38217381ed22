"""Curves: dots in their places, scale, single points, what is no number, ASCII."""

import pytest
from ocpp_proxy_tui.look import Look
from ocpp_proxy_tui.widgets.curve import Canvas, Curve, Point, plot

S = 1_000_000_000


def drawn(points: list[Point], ascii: bool = False, steps: bool = False, width: int = 8, height: int = 2) -> list[str]:
    canvas = Canvas(width, height, ascii)
    plot(points, canvas, steps)
    return [canvas.text(row) for row in range(height)]


def test_a_rising_line_in_braille() -> None:
    assert drawn([(0, 0.0), (S, 7.0)]) == ["    ⣀⠤⠒⠉", "⣀⠤⠒⠉    "]


def test_steps_hold_until_the_next_value_in_ascii() -> None:
    assert drawn([(0, 1.0), (4 * S, 2.0), (8 * S, 2.0)], ascii=True, steps=True, width=9, height=3) == [
        "    *****", "    *    ", "*****    "]


def test_the_scale_has_its_zero_where_that_is_near_and_room_around_one_value() -> None:
    canvas = Canvas(10, 4, False)
    assert plot([(0, 1.0), (S, 10.0)], canvas) == (0.0, 10.0)
    assert plot([(0, 90.0), (S, 100.0)], canvas) == (90.0, 100.0)
    assert plot([(0, -5.0), (S, 5.0)], canvas) == (-5.0, 5.0)
    assert plot([(S, 5.0)], canvas) == (4.0, 6.0)


def test_one_point_is_one_dot() -> None:
    assert drawn([(S, 5.0)], ascii=True, width=5, height=3) == ["     ", "*    ", "     "]


@pytest.mark.parametrize("values", [
    [float("nan")], [float("inf"), 1.0], [1e308, -1e308], [1e15, -1e15], [], [0.0, 0.0],
])
def test_any_number_a_charger_may_say_is_drawn_or_left_out(values: list[float]) -> None:
    curve = Curve(Look(), "Power")
    curve.show([(at * S, value) for at, value in enumerate(values)], "W")
    for width, height in ((0, 0), (1, 1), (12, 3), (40, 10)):
        text = curve._draw(width, height)
        assert text[0].startswith("Power") and all("nan" not in line and "inf" not in line for line in text)
    kept = [value for value in values if abs(value) <= 1e15]
    assert ("no values" in curve._draw(40, 10)[0]) == (not kept)


def test_labels_fit_their_place_and_ascii_is_ascii() -> None:
    curve = Curve(Look(ascii=True), "Energy")
    curve.show([(0, 1234567.0), (S, 123456789.0)], "Wh", "; 2 in kWh not drawn")
    text = curve._draw(60, 8)
    assert text[0] == "Energy  1.235e+08 Wh  (2 values; 2 in kWh not drawn)"
    assert len(text) == 8 and text[1].startswith("1.235e+08 ") and text[6].startswith("        0 ")
    assert all(len(line) <= 60 and line.isascii() for line in text)
