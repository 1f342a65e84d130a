from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartsim.domain.cpu_sets import application_cpus, database_cpus, format_cpus

cpu_sets = st.sets(st.integers(0, 300), min_size=1)


@given(cpu_sets, st.data())
def test_the_database_has_as_many_as_asked_for_among_those_of_the_job(available: set[int], data: st.DataObject) -> None:
    count = data.draw(st.integers(1, len(available)))
    chosen = database_cpus(available, count, None)
    assert len(chosen) == count
    assert list(chosen) == sorted(available)[:count]


@given(cpu_sets, st.data())
def test_the_database_has_those_that_were_named(available: set[int], data: st.DataObject) -> None:
    named = data.draw(st.sets(st.sampled_from(sorted(available))))
    assert database_cpus(available, 1000, sorted(named)) == tuple(sorted(named))


def test_cpus_that_the_job_does_not_have_are_refused() -> None:
    with pytest.raises(ValueError, match=r"custom_pinning names CPUs .*: 0-1,9\. It has 2-4"):
        database_cpus({2, 3, 4}, 1, [0, 1, 2, 9])
    with pytest.raises(ValueError, match=r"db_cpus=4 is more than the 3 CPUs .* \(2-4\)"):
        database_cpus({2, 3, 4}, 4, None)


@given(cpu_sets, st.sets(st.integers(0, 300)))
def test_the_application_has_the_others_or_shares_all(own: set[int], database: set[int]) -> None:
    rest = application_cpus(own, database)
    assert rest
    assert set(rest) <= own
    assert not set(rest) & database or own <= database


@given(st.sets(st.integers(0, 300)))
def test_what_is_printed_names_each_cpu_once(cpus: set[int]) -> None:
    named: list[int] = []
    for part in filter(None, format_cpus(cpus).split(",")):
        first, _, last = part.partition("-")
        named += range(int(first), int(last or first) + 1)
    assert named == sorted(cpus)
