"""Runs cases with the `anthropic` package, with its blocking and its asyncio client.

    python -I [-S] anthropic_python.py [FOLDER] < CASES > RESULTS

The package is that of the folder, if one is named.
CASES is one JSON object: `cases`, the base URLs of the `targets`, and the `keys` of each run. Each
line of RESULTS is the JSON of one case: its `run` and `case`, and what came of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import inspect
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

AT_ONCE = 8
WRITING = threading.Lock()


async def settled(value: Any) -> Any:
    """What the asyncio client promises, and the blocking client returns."""
    return await value if inspect.isawaitable(value) else value


async def each(items: Any) -> AsyncIterator[Any]:
    if hasattr(items, "__aiter__"):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item


@contextlib.asynccontextmanager
async def entered(manager: Any) -> AsyncIterator[Any]:
    if hasattr(manager, "__aenter__"):
        async with manager as value:
            yield value
    else:
        with manager as value:
            yield value


def plain(model: Any) -> dict[str, Any]:
    document: dict[str, Any] = model.to_dict(mode="json")
    return document


class Case:
    """One case, and the client that it asks for."""

    def __init__(self, case: dict[str, Any], client: Any, run: str) -> None:
        self.case = case
        self.client = client
        self.messages = client.beta.messages if "betas" in case else client.messages
        headers = {"x-case": case["name"], "x-run": run, **case.get("headers", {})}
        self.options: dict[str, Any] = {"extra_headers": headers}
        if "query" in case:
            self.options["extra_query"] = case["query"]
        self.arguments = {**case.get("params", {}), **self.options}
        if "extra" in case:
            self.arguments["extra_body"] = case["extra"]
        if "betas" in case:
            self.arguments["betas"] = case["betas"]

    async def create(self) -> dict[str, Any]:
        raw = await settled(self.messages.with_raw_response.create(**self.arguments))
        message = await settled(raw.parse())
        return {"message": plain(message), "headers": dict(raw.headers), "id": message._request_id}

    async def stream(self) -> dict[str, Any]:
        events: list[Any] = []
        result: dict[str, Any] = {"events": events}
        try:
            stream = await settled(self.messages.create(**self.arguments, stream=True))
            result["headers"] = dict(stream.response.headers)
            async for event in each(stream):
                events.append(plain(event))  # noqa: PERF401  # Those before an error count.
        except Exception as error:  # noqa: BLE001  # Whatever is raised is told.
            result["error"] = told(error)
        return result

    async def accumulate(self) -> dict[str, Any]:
        async with entered(self.messages.stream(**self.arguments)) as stream:
            text = "".join([piece async for piece in each(stream.text_stream)])
            message = await settled(stream.get_final_message())
            return {"text": text, "message": plain(message), "id": stream.request_id}

    async def bytes(self) -> dict[str, Any]:
        manager = self.messages.with_streaming_response.create(**self.arguments, stream=True)
        async with entered(manager) as raw:
            chunks = [chunk async for chunk in each(raw.iter_bytes())]
        return {"text": b"".join(chunks).decode(), "headers": dict(raw.headers)}

    async def leave(self) -> dict[str, Any]:
        stream = await settled(self.messages.create(**self.arguments, stream=True))
        events = each(stream)
        first = await anext(events)
        await settled(stream.close())
        return {"first": plain(first)}

    async def loop(self) -> dict[str, Any]:
        """Answers tool calls until there are none."""
        conversation = list(self.arguments["messages"])
        answers: list[dict[str, Any]] = []
        while len(answers) < 5:
            arguments = {**self.arguments, "messages": conversation}
            if self.case.get("streamed"):
                async with entered(self.messages.stream(**arguments)) as stream:
                    message = await settled(stream.get_final_message())
            else:
                message = await settled(self.messages.create(**arguments))
            answers.append(plain(message))
            results = [
                {"type": "tool_result", "tool_use_id": block.id, "content": "21 degrees, noon"}
                for block in message.content
                if block.type == "tool_use"
            ]
            if not results:
                break
            # The message's own blocks go back, as a program would send them.
            conversation += [
                {"role": "assistant", "content": message.content},
                {"role": "user", "content": results},
            ]
        return {"answers": answers}

    async def count(self) -> dict[str, Any]:
        return plain(await settled(self.messages.count_tokens(**self.arguments)))

    async def models(self) -> dict[str, Any]:
        listed = self.client.models.list(**self.arguments)
        return {"models": [plain(model) async for model in each(listed)]}

    async def model(self) -> dict[str, Any]:
        return plain(await settled(self.client.models.retrieve(**self.arguments)))

    async def batch(self) -> dict[str, Any]:
        batches = self.client.messages.batches
        created = await settled(batches.create(**self.arguments))
        retrieved = await settled(batches.retrieve(created.id, **self.options))
        lines = await settled(batches.results(created.id, **self.options))
        results = [plain(line) async for line in each(lines)]
        listed = batches.list(limit=2, **self.options)
        ids = [batch.id async for batch in each(listed)]
        deleted = await settled(batches.delete(created.id, **self.options))
        second = await settled(batches.create(**self.arguments))
        cancelled = await settled(batches.cancel(second.id, **self.options))
        return {
            "created": plain(created),
            "retrieved": plain(retrieved),
            "results": results,
            "listed": created.id in ids,
            "deleted": plain(deleted),
            "cancelled": plain(cancelled),
        }

    async def get(self) -> dict[str, Any]:
        options = {"headers": self.options["extra_headers"]}
        path = self.case["path"]
        return {"answer": await settled(self.client.get(path, cast_to=object, options=options))}

    async def twice(self) -> dict[str, Any]:
        return {"both": [await self.create(), await self.create()]}

    async def run(self) -> dict[str, Any]:
        began = time.monotonic()
        try:
            result: dict[str, Any] = await getattr(self, self.case["do"])()
        except Exception as error:  # noqa: BLE001  # Whatever is raised is told.
            result = {"error": told(error)}
        return {**result, "seconds": time.monotonic() - began}


def told(error: Exception) -> dict[str, Any]:
    response = getattr(error, "response", None)
    return {
        "class": type(error).__name__,
        "message": str(error),
        "status": getattr(error, "status_code", None),
        "request_id": getattr(error, "request_id", None),
        "body": getattr(error, "body", None),
        "headers": {} if response is None else dict(response.headers),
    }


def client_of(case: dict[str, Any], given: dict[str, Any], kind: Any, http: Any, run: str) -> Any:
    key = given["keys"][run][case.get("key", "main")]
    return kind(
        base_url=given["targets"][case.get("on", "scripted")] + case.get("base", ""),
        max_retries=case.get("retries", 0),
        http_client=http,
        timeout=20.0,
        **{case.get("credential", "api_key"): key},
    )


def blocking(given: dict[str, Any], package: Any) -> None:
    run = "blocking"
    http = package.DefaultHttpxClient()

    def one(case: dict[str, Any]) -> None:
        client = client_of(case, given, package.Anthropic, http, run)
        show(run, case, asyncio.run(Case(case, client, given["client"] + " " + run).run()))

    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, given["cases"]))
    http.close()


async def asynchronous(given: dict[str, Any], package: Any) -> None:
    run = "asyncio"
    places = asyncio.Semaphore(AT_ONCE)
    async with package.DefaultAsyncHttpxClient() as http:

        async def one(case: dict[str, Any]) -> None:
            client = client_of(case, given, package.AsyncAnthropic, http, run)
            async with places:
                show(run, case, await Case(case, client, given["client"] + " " + run).run())

        await asyncio.gather(*map(one, given["cases"]))


def show(run: str, case: dict[str, Any], result: dict[str, Any]) -> None:
    line = json.dumps({"run": run, "case": case["name"], **result}) + "\n"
    with WRITING:
        sys.stdout.write(line)


def main() -> None:
    sys.path[:0] = sys.argv[1:]
    package = importlib.import_module("anthropic")
    given = json.load(sys.stdin)
    show("", {"name": "version"}, {"version": package.__version__})
    blocking(given, package)
    asyncio.run(asynchronous(given, package))


if __name__ == "__main__":
    main()
