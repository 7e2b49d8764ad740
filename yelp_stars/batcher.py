"""Compute the requests of several clients together, in one worker thread.

A request of one text keeps one core busy; those that wait while it is computed are the next batch.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Answer = TypeVar("Answer")


class Batcher(Generic[Answer]):
    """A queue of requests, each a list of texts with an answer for each text."""

    def __init__(self, compute: Callable[[list[str]], list[Answer]], most: int) -> None:
        self._compute, self._most = compute, most
        self._waiting: asyncio.Queue[tuple[list[str], asyncio.Future[list[Answer]]]]
        self._waiting = asyncio.Queue()

    async def answer(self, texts: list[str]) -> list[Answer]:
        """The answers to some texts, when their turn has come."""
        found: asyncio.Future[list[Answer]] = asyncio.get_running_loop().create_future()
        self._waiting.put_nowait((texts, found))
        return await found

    async def run(self) -> None:
        """Compute what waits, until this task is cancelled."""
        loop = asyncio.get_running_loop()
        with ThreadPoolExecutor(1, "model") as thread:
            while True:
                batch = [await self._waiting.get()]
                while not self._waiting.empty() and sum(len(t) for t, _ in batch) < self._most:
                    batch.append(self._waiting.get_nowait())
                batch = [(texts, found) for texts, found in batch if not found.cancelled()]
                together = [text for texts, _ in batch for text in texts]
                try:
                    answers = iter(await loop.run_in_executor(thread, self._compute, together))
                except (RuntimeError, MemoryError) as error:  # of torch: for those who wait
                    for _, found in batch:
                        if not found.done():
                            found.set_exception(error)
                    continue
                for texts, found in batch:
                    own = [next(answers) for _ in texts]
                    if not found.done():
                        found.set_result(own)
