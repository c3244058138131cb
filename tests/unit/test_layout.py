"""Where sources live, now and before."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from contract.keys import partition_of
from contract.partitions import Layout

numbers = st.integers(1, 256)


def test_a_system_of_one_number_has_so_many_streams() -> None:
    assert Layout(3).streams == 3
    assert Layout(3).earlier_partitions_of("cam") == []


@given(st.lists(numbers, min_size=1, max_size=6), st.text(min_size=1))
def test_no_place_a_source_ever_had_is_forgotten(history: list[int], source: str) -> None:
    layout = Layout(history[0])
    for number in history[1:]:
        layout = layout.followed_by(Layout(number))
    assert layout.partitions == history[-1]
    assert layout.streams == max(history)
    here = layout.partition_of(source)
    assert here == partition_of(source, history[-1])
    places = {partition_of(source, number) for number in history}
    assert layout.earlier_partitions_of(source) == sorted(places - {here})
    assert layout.partitions not in layout.earlier


def test_what_redis_forgot_stays_known() -> None:
    assert Layout(4, (2,)).followed_by(Layout(1)) == Layout(1, (2, 4))
    assert Layout(4, (2,)).followed_by(Layout(4)) == Layout(4, (2,))
