"""The containers of recordings: what their headers promise, and whether it is there.

Comes in: the bytes of a WAV (RIFF, RIFX, RF64), AIFF or Ogg file. Goes out: a `Wave`, or an `AudioFault`
for a file that is cut off or contradicts itself: libsndfile reads such files as far as they go and
says nothing.
"""

import struct
from dataclasses import dataclass

UNKNOWN = "It is no recording of a known format (WAV, FLAC, AIFF, Ogg)."
_OPEN_LENGTH = 0x7FFFF000
"""A program that writes to a pipe cannot know the length: FFmpeg says 0xFFFFFFFF, SoX 0x7FFFF000.

So long a recording is not read here anyway.
"""
PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
MIN_RATE_HZ, MAX_RATE_HZ = 4_000, 192_000
"""What ExampleGen stores and what tasks resample: a rate that no task takes goes to the quarantine."""
MAX_FLOAT_PEAK = 4.0
"""12 dB over full scale. Larger floats are samples of another scale (integers written as floats)."""


class AudioFault(ValueError):
    """The bytes are no usable recording; the message is the reason, a sentence."""


@dataclass(frozen=True)
class Wave:
    """What the chunks of a WAV say: `offset` and `size` of the samples in bytes.

    `plain`: whether it is 16-bit PCM in a layout that TensorFlow's `decode_wav` reads.
    """

    channels: int
    rate_hz: int
    offset: int
    size: int
    plain: bool


def read_wave(data: bytes, kind: str) -> Wave:
    """The chunks of a WAV ("RIFF", "RIFX" or "RF64").

    Raises:
        AudioFault: what no reader could make sense of, or what is not there in full.
    """
    order = ">" if kind == "RIFX" else "<"
    if data[8:12] != b"WAVE":
        raise AudioFault(UNKNOWN)
    header, samples, large, plain, first = None, None, None, kind == "RIFF", True
    for name, offset, size in _chunks(data, order):
        _check_name(name, samples)
        if name == b"fmt ":
            if header is not None or size < 16 or offset + 16 > len(data):
                raise damaged("its `fmt ` chunk is cut off or there twice")
            header = struct.unpack_from(f"{order}HHIIHH", data, offset)
            plain &= first and size in (16, 18)
        elif name == b"ds64" and size >= 24 and offset + 24 <= len(data):
            large = struct.unpack_from("<Q", data, offset + 8)[0]
        elif name == b"data":
            if samples is not None:
                raise damaged("it has more than one `data` chunk")
            samples = offset, size
        # TensorFlow does not skip the padding byte of an odd chunk, nor read past the last one.
        plain &= size % 2 == 0 and offset + size <= len(data)
        end = offset + size
        first = False
    if header is None or samples is None:
        raise damaged(f"it has no `{'fmt ' if header is None else 'data'}` chunk")
    form, channels, rate_hz, bytes_per_second, frame_bytes, bits = header
    _check_header(form, channels, rate_hz, bytes_per_second, frame_bytes, bits)
    offset, size = samples
    size = large if kind == "RF64" and size == 0xFFFFFFFF and large is not None else size
    there = len(data) - offset
    if size >= _OPEN_LENGTH:
        size = there
    elif size > there:
        raise cut_off(f"{size} bytes of samples", there)
    if not size or size < frame_bytes:
        raise AudioFault("The recording has no samples.")
    plain &= form == PCM and bits == 16 and end == len(data) and size % frame_bytes == 0
    return Wave(channels, rate_hz, offset, size, plain)


def _chunks(data, order):
    """(name, offset of the content, size as it is written) of each chunk, as far as they go.

    What lies behind the length that the file says of itself is no chunk.
    """
    position = 12
    end = 8 + struct.unpack_from(f"{order}I", data, 4)[0] if len(data) >= 12 else 0
    end = len(data) if end - 8 >= _OPEN_LENGTH or end <= 12 else min(end, len(data))
    while position + 8 <= end:
        name, size = struct.unpack_from(f"{order}4sI", data, position)
        yield name, position + 8, size
        position += 8 + size + size % 2


def _check_name(name, samples):
    """Samples behind the last chunk: its length is too small, and they would be lost."""
    if samples is not None and any(name) and not all(32 <= letter < 127 for letter in name):
        raise damaged(f"what follows the {samples[1]} bytes of its `data` chunk is no chunk")


def _check_header(form, channels, rate_hz, bytes_per_second, frame_bytes, bits):
    if not channels or not rate_hz or not frame_bytes:
        raise damaged("its header has a rate, a number of channels or a frame of 0")
    if form not in (PCM, _FLOAT, _EXTENSIBLE):
        return
    if frame_bytes != channels * ((bits + 7) // 8):
        raise damaged(
            f"its header contradicts itself ({channels} channels of {bits} bits in frames of "
            f"{frame_bytes} bytes)"
        )
    if bytes_per_second != rate_hz * frame_bytes:
        raise damaged(
            f"its header contradicts itself ({rate_hz} frames of {frame_bytes} bytes, but "
            f"{bytes_per_second} bytes a second)"
        )


def check_aiff(data: bytes) -> None:
    """Its two chunks must agree on the number of samples, and those must be there."""
    there, promised = None, None
    for name, offset, size in _chunks(data, ">"):
        if name == b"SSND":
            there = max(0, min(size, len(data) - offset) - 8)
            if size > len(data) - offset:
                raise cut_off(f"{size - 8} bytes of samples", there)
        elif name == b"COMM" and size >= 18 and offset + 18 <= len(data):
            channels, frames, bits = struct.unpack_from(">HIH", data, offset)
            promised = frames * channels * ((bits + 7) // 8)
    # The other form, AIFC, may be compressed. Some writers count the padding byte.
    plain = data[8:12] == b"AIFF" and None not in (there, promised)
    if plain and there not in (promised, promised + promised % 2):
        raise damaged(f"its header promises {promised} bytes of samples, but it has {there}")


def check_ogg(data: bytes) -> None:
    """The last page must be there in full and say that it is the last, and of a single stream.

    Of several streams, one behind the other or side by side, libsndfile reads the first one.
    """
    page = data.rfind(b"OggS")
    header = data[page : page + 27]
    segments = data[page + 27 : page + 27 + header[26]] if len(header) == 27 else b""
    if len(header) < 27 or len(segments) < header[26] or not header[5] & 4:
        raise AudioFault("The recording is cut off: its last page is missing.")
    if page + 27 + len(segments) + sum(segments) > len(data):
        raise AudioFault("The recording is cut off in its last page.")
    streams = sum(flags >> 1 & 1 for flags in _page_flags(data))
    if streams > 1:
        raise AudioFault(
            f"The recording has {streams} Ogg streams, of which one would be read. Write each into a "
            "file of its own."
        )


def _page_flags(data):
    """Of each page that follows upon the one before: bit 1 is set where a stream begins (RFC 3533)."""
    position = 0
    while data[position : position + 4] == b"OggS" and position + 27 <= len(data):
        yield data[position + 5]
        count = data[position + 26]
        position += 27 + count + sum(data[position + 27 : position + 27 + count])


def cut_off(promised: str, there: int) -> AudioFault:
    """The fault of a file that has less than its header promises."""
    return AudioFault(
        f"The recording is cut off: its header promises {promised}, and {there} are there."
    )


def damaged(text: str) -> AudioFault:
    """The fault of a file that cannot be read as it is."""
    return AudioFault(f"The recording is damaged: {text}.")
