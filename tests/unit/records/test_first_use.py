"""What reads and writes a record is built when it is first used, whoever is first."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from pydantic import ValidationError

from windsock.records import Record
from windsock.spec.base import Frozen

THREADS = 8


@pytest.mark.parametrize("kind", [Record, Frozen])
def test_it_is_not_built_before(kind: type[Frozen]) -> None:
    class Unused(kind):  # type: ignore[misc, valid-type]
        number: int

    assert not Unused.__pydantic_complete__
    assert Unused(number=1).model_dump() == {"number": 1}
    assert Unused.__pydantic_complete__


def test_threads_that_are_first_at_once_get_the_same() -> None:
    class Fresh(Record):
        number: int
        name: str = "x"

    together = Barrier(THREADS)

    def use(number: int) -> tuple[str, bool]:
        together.wait()
        made = Fresh.model_validate({"number": number}).model_dump_json()
        try:
            Fresh.model_validate({"number": "none"})
        except ValidationError as error:
            return made, "none" in str(error)
        return made, True

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(use, range(THREADS)))
    assert answers == [(f'{{"number":{number},"name":"x"}}', False) for number in range(THREADS)]
