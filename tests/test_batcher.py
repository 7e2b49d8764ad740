"""Requests of several clients are computed together, and each gets its own answers."""

import asyncio
import threading
import time

import pytest

from yelp_stars.batcher import Batcher


def served(compute, most, clients):
    """The results of clients, each a coroutine function of a batcher, while it runs."""

    async def main():
        batcher = Batcher(compute, most)
        task = asyncio.create_task(batcher.run())
        try:
            return await asyncio.gather(*(client(batcher) for client in clients))
        finally:
            task.cancel()

    return asyncio.run(main())


def asks(texts):
    async def client(batcher):
        return await batcher.answer(texts)

    return client


def test_each_client_has_the_answers_to_its_own_texts():
    clients = [[f"{client}-{number}" for number in range(client % 4)] for client in range(50)]
    found = served(lambda texts: [text.upper() for text in texts], 8, map(asks, clients))
    assert found == [[text.upper() for text in texts] for texts in clients]


def test_those_that_wait_are_the_next_batch_which_has_a_limit():
    sizes, threads = [], set()

    def compute(texts):
        sizes.append(len(texts))
        threads.add(threading.get_ident())
        time.sleep(0.05)
        return texts

    served(compute, 8, [asks(["x"])] * 20)
    assert sizes == [8, 8, 4] or sizes[:1] + sizes[1:] == [1, 8, 8, 3]
    assert len(threads) == 1
    assert threading.get_ident() not in threads


def test_a_client_that_left_is_not_computed_and_others_are_answered():
    computed = []

    def compute(texts):
        computed.extend(texts)
        time.sleep(0.05)
        return texts

    async def leaves(batcher):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(batcher.answer(["gone"]), 0.01)

    found = served(compute, 1, [asks(["first"]), leaves, asks(["last"])])
    assert found == [["first"], None, ["last"]]
    assert computed == ["first", "last"]


def test_an_error_of_the_model_reaches_those_who_wait_and_no_others():
    def compute(texts):
        if "bad" in texts:
            raise RuntimeError("out of memory")
        return texts

    async def fails(batcher):
        with pytest.raises(RuntimeError, match="out of memory"):
            await batcher.answer(["bad"])

    assert served(compute, 1, [fails, asks(["good"])]) == [None, ["good"]]
