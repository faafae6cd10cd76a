"""Plain sockets against the stub: what it can answer, and what merely receiving costs a client.

    stub_limits.py PORT     prints one JSON object; needs the standard library alone

No SDK can be cheaper than these numbers: they hold system calls and a loop, and no HTTP at all.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from statistics import median

from canned import CannedStream, message_response, stream

CALLS = 2_000
CONNECTIONS = 64
SATURATING_CALLS = 40_000
PACKETS = 1_000
ROUNDS = 7
BURST_EVENTS = 32_000
_BODY = b'{"model":"claude-sonnet-4-6","max_tokens":1024,"messages":[]}'


def request(path: str) -> bytes:
    head = f"POST {path}/v1/messages HTTP/1.1\r\nhost: stub\r\ncontent-length: {len(_BODY)}\r\n\r\n"
    return head.encode() + _BODY


def connect(port: int) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection: socket.socket, length: int) -> int:
    """Read this many bytes; returns how many reads that took."""
    reads = 0
    while length > 0:
        received = len(connection.recv(65_536))
        if not received:
            raise ConnectionError("the stub closed the connection")
        length -= received
        reads += 1
    return reads


def stub_cpu_seconds(port: int) -> float:
    with connect(port) as connection:
        connection.sendall(b"GET /cpu HTTP/1.1\r\nhost: stub\r\n\r\n")
        body = connection.recv(4096).partition(b"\r\n\r\n")[2]
    seconds: float = json.loads(body)["cpu_seconds"]
    return seconds


def call_cpu_seconds(port: int) -> float:
    """Client CPU of one call after the other on one connection."""
    sent, length = request("/message"), len(message_response())
    with connect(port) as connection:
        started = time.process_time()
        for _ in range(CALLS):
            connection.sendall(sent)
            receive(connection, length)
        return (time.process_time() - started) / CALLS


def saturated(port: int) -> dict[str, float]:
    """Calls a second over many connections, and the stub's own CPU for each."""
    sent = request("/message")
    connections = {
        opened.fileno(): opened for opened in (connect(port) for _ in range(CONNECTIONS))
    }
    poll = select.poll()
    for number, connection in connections.items():
        poll.register(number, select.POLLIN)
        connection.sendall(sent)
    stub_cpu, started, answered = stub_cpu_seconds(port), time.perf_counter(), 0
    while answered < SATURATING_CALLS:
        for number, _ in poll.poll(20_000):
            connections[number].recv(65_536)
            connections[number].sendall(sent)
            answered += 1
    wall = time.perf_counter() - started
    stub_cpu = stub_cpu_seconds(port) - stub_cpu
    for connection in connections.values():
        connection.close()
    return {"calls_a_second": answered / wall, "stub_cpu_a_call": stub_cpu / answered}


def streamed(port: int, pace: str, canned: CannedStream) -> dict[str, float]:
    """Client CPU of an event, events a second, and events in one read."""
    events = len(canned.events)
    pieces = canned.packets() if pace == "packets" else canned.bursts()
    length = len(canned.head) + sum(map(len, pieces))
    sent = request(f"/{pace}/text/{events - 6}")
    with connect(port) as connection:
        wall, cpu = time.perf_counter(), time.process_time()
        connection.sendall(sent)
        reads = receive(connection, length)
        cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    return {
        "cpu_an_event": cpu / events,
        "events_a_second": events / wall,
        "a_read": events / reads,
    }


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    return {name: median(measured[name] for measured in rounds) for name in rounds[0]}


def main() -> None:
    port = int(sys.argv[1])
    packets, bursts = stream("text", PACKETS), stream("text", BURST_EVENTS)
    streamed(port, "bursts", bursts)
    result = {
        "call_cpu": median(call_cpu_seconds(port) for _ in range(ROUNDS)),
        "saturated": saturated(port),
        "packets": medians([streamed(port, "packets", packets) for _ in range(ROUNDS)]),
        "bursts": medians([streamed(port, "bursts", bursts) for _ in range(ROUNDS)]),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
