"""How orchestrator and worker speak: JSON documents, each behind its length, over a pipe.

Four bytes of big-endian length, then UTF-8 JSON. A pipe that ends between two messages reads as
None, one that ends inside a message too: the other side has died.
"""

import json
import os
import struct

HEADER = struct.Struct(">I")


def encode(message: dict) -> bytes:
    """One framed message."""
    payload = json.dumps(message).encode()
    return HEADER.pack(len(payload)) + payload


def send(descriptor: int, message: dict) -> None:
    """Writes one message whole."""
    view = memoryview(encode(message))
    while view:
        view = view[os.write(descriptor, view) :]


def receive(descriptor: int) -> dict | None:
    """Reads one message, waiting for it; None where the pipe has ended."""
    header = _read_exactly(descriptor, HEADER.size)
    if header is None:
        return None
    payload = _read_exactly(descriptor, HEADER.unpack(header)[0])
    return None if payload is None else json.loads(payload)


def _read_exactly(descriptor: int, size: int) -> bytes | None:
    chunks = []
    while size:
        chunk = os.read(descriptor, min(size, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)


class Inbox:
    """Messages from a pipe that must not be waited for (the orchestrator's side)."""

    def __init__(self, descriptor: int):
        self.descriptor = descriptor
        self.ended = False
        self._buffer = bytearray()

    def read(self) -> list[dict]:
        """Takes what has arrived; call when the descriptor is readable."""
        chunk = os.read(self.descriptor, 1 << 20)
        self.ended = not chunk
        self._buffer += chunk
        messages = []
        while len(self._buffer) >= HEADER.size:
            size = HEADER.unpack_from(self._buffer)[0]
            if len(self._buffer) < HEADER.size + size:
                break
            messages.append(json.loads(self._buffer[HEADER.size : HEADER.size + size]))
            del self._buffer[: HEADER.size + size]
        return messages
