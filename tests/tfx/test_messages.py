"""The framing between orchestrator and worker."""

import os
import threading

from penstock.tfx import messages


def test_a_message_larger_than_the_pipe_buffer_arrives_whole():
    read, write = os.pipe()
    message = {"text": "x" * 1_000_000}
    sender = threading.Thread(target=messages.send, args=(write, message))
    sender.start()
    assert messages.receive(read) == message
    sender.join()


def test_the_frame_is_a_big_endian_length_and_json():
    # `{"a": 1}` has 8 characters.
    assert messages.encode({"a": 1}) == b"\x00\x00\x00\x08" + b'{"a": 1}'


def test_an_inbox_takes_messages_cut_anywhere():
    data = messages.encode({"n": 1}) + messages.encode({"n": 2})
    read, write = os.pipe()
    inbox = messages.Inbox(read)
    found = []
    for i in range(len(data)):
        os.write(write, data[i : i + 1])
        found += inbox.read()
    assert found == [{"n": 1}, {"n": 2}]


def test_a_pipe_that_ends_inside_a_message_reads_as_dead():
    read, write = os.pipe()
    os.write(write, messages.encode({"n": 1})[:-2])
    os.close(write)
    assert messages.receive(read) is None
