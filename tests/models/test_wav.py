"""WAV files inside a graph: the samples that ExampleGen would store, or an error that says why."""

import io
import struct

import numpy as np
import pytest
import soundfile
import tensorflow as tf

from penstock.models.speech.front_end import wav
from penstock.pipelines.media.audio_files import normalise

RATE_HZ = 11_025
SUBTYPES = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE")

decode = tf.function(wav.decode, input_signature=[tf.TensorSpec([], tf.string)])


def encoded(samples, subtype, layout="WAV"):
    stream = io.BytesIO()
    soundfile.write(stream, samples, RATE_HZ, subtype=subtype, format=layout)
    return stream.getvalue()


def chunk(name, content, size=None):
    return name + struct.pack("<I", len(content) if size is None else size) + content


def riff(*chunks):
    return b"RIFF" + struct.pack("<I", 4 + sum(map(len, chunks))) + b"WAVE" + b"".join(chunks)


def header(form=1, channels=1, rate=8000, bits=16, frame=None):
    frame = channels * ((bits + 7) // 8) if frame is None else frame
    return chunk(b"fmt ", struct.pack("<HHIIHH", form, channels, rate, rate * frame, frame, bits))


@pytest.mark.parametrize("channels", [1, 2, 5])
@pytest.mark.parametrize("layout", ["WAV", "WAVEX"])
@pytest.mark.parametrize("subtype", SUBTYPES)
def test_samples_are_those_that_would_be_stored(subtype, layout, channels):
    """libsndfile decodes, ExampleGen rounds; floats over full scale are clipped."""
    peak = 3.9 if subtype in ("FLOAT", "DOUBLE") else 1.0
    samples = np.random.default_rng(channels).uniform(-peak, peak, (501, channels))
    data = encoded(samples, subtype, layout)
    stored = soundfile.read(io.BytesIO(normalise(data)), dtype="int16", always_2d=True)[0]
    found, rate_hz = decode(data)
    assert (found.dtype, rate_hz) == (tf.float32, RATE_HZ)
    np.testing.assert_array_equal(found, stored)


def test_samples_by_hand_eagerly():
    """24 bits: 0x012380 / 256 is 291.5, a tie that goes to the even 292; 0x800000 is -32768."""
    data = b"\x80\x23\x01" + b"\x00\x00\x80" + b"\xff\xff\xff" + b"\xff\xff\x7f"
    found, _ = wav.decode(riff(header(bits=24), chunk(b"data", data)))
    np.testing.assert_array_equal(found, [[292], [-32768], [0], [32767]])
    found, _ = wav.decode(riff(header(bits=8), chunk(b"data", b"\x00\x80\xff")))
    np.testing.assert_array_equal(found, [[-32768], [0], [127 * 256]])


def test_other_chunks_are_skipped_and_lengths_may_be_open():
    """A chunk of an odd size has a byte of padding; FFmpeg writes 0xFFFFFFFF into a pipe."""
    other = chunk(b"LIST", b"odd", 3) + b"\0"
    samples = struct.pack("<3h", 1, -2, 3)
    data = riff(other, header(), other, chunk(b"data", samples, 0xFFFFFFFF))
    np.testing.assert_array_equal(decode(data)[0], [[1], [-2], [3]])
    # Half a frame at the end is dropped, and what follows is not looked at.
    data = riff(header(channels=2), chunk(b"data", samples) + chunk(b"more", b""))
    np.testing.assert_array_equal(decode(data)[0], [[1, -2]])


SOUND = chunk(b"data", bytes(100))
UNREADABLE = {
    "empty": (b"", "it is empty: bytes.*0"),
    "text": (b"no recording at all", "does not begin as a WAV does"),
    "big-endian": (b"RIFX" + riff(header(), SOUND)[4:], "does not begin as a WAV does"),
    "short": (b"RIFF", "does not begin as a WAV does"),
    "no-chunks": (riff(), "no chunk `data`"),
    "no-format": (riff(SOUND), "`fmt ` is missing or cut off"),
    "cut-format": (riff(chunk(b"fmt ", bytes(8)), SOUND), "`fmt ` is missing or cut off"),
    "cut-off": (
        riff(header(), SOUND)[:-1],
        "cut off: bytes of samples promised and there.*100.*99",
    ),
    "no-samples": (riff(header(), chunk(b"data", b"")), "it has no samples"),
    "half-a-frame": (riff(header(), chunk(b"data", b"\1")), "it has no samples"),
    "mu-law": (riff(header(form=7, bits=8), SOUND), "its coding is not read.*7.*8"),
    "12-bit": (riff(header(bits=12), SOUND), "its coding is not read.*1.*12"),
    "no-channels": (riff(header(channels=0), SOUND), "its header contradicts itself"),
    "no-rate": (riff(header(rate=0), SOUND), "its header contradicts itself"),
    "frame": (riff(header(frame=3), SOUND), "its header contradicts itself"),
    "not-a-number": (
        riff(header(form=3, bits=32), chunk(b"data", struct.pack("<f", np.nan))),
        "samples that are no numbers",
    ),
    "integers-as-floats": (
        riff(header(form=3, bits=32), chunk(b"data", struct.pack("<2f", 0.5, -20_000))),
        "floating-point samples must be from -1 to 1; the largest is.*20000",
    ),
}


@pytest.mark.parametrize("run", [decode, wav.decode], ids=["graph", "eager"])
@pytest.mark.parametrize(("data", "message"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_refused(data, message, run):
    with pytest.raises(tf.errors.InvalidArgumentError, match=f"(?s)must be a WAV.*{message}"):
        run(tf.constant(data))
