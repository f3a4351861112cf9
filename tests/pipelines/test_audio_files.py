"""Recordings as they come: what is kept, what is converted, and what is no recording."""

import io
import math
import struct

import numpy as np
import pytest
import soundfile
import tensorflow as tf
from scipy.io import wavfile

from penstock.pipelines.media.audio_files import AudioFault, encode_wav, measure, normalise

RNG = np.random.default_rng(0)
MONO = RNG.integers(-32768, 32768, (41, 1), np.int16)
STEREO = RNG.integers(-32768, 32768, (40, 2), np.int16)
EIGHT = RNG.integers(-32768, 32768, (7, 8), np.int16)


def encode(samples, form="WAV", subtype="PCM_16", rate=16_000):
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


def chunk(name, body, size=None):
    padding = b"\0" * (len(body) % 2)
    return name + struct.pack("<I", len(body) if size is None else size) + body + padding


def wav(*chunks, riff_size=None):
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body) if riff_size is None else riff_size) + body


def form(channels=1, rate=16_000, bits=16, code=1, more=b"", frame=None, second=None):
    frame = channels * bits // 8 if frame is None else frame
    second = rate * frame if second is None else second
    return chunk(b"fmt ", struct.pack("<HHIIHH", code, channels, rate, second, frame, bits) + more)


BODY = MONO.astype("<i2").tobytes()

KEPT = {
    "mono-8-kHz": (encode(MONO, rate=8_000), MONO),
    "stereo-48-kHz": (encode(STEREO, rate=48_000), STEREO),
    "eight-channels": (encode(EIGHT), EIGHT),
    "one-sample": (encode(MONO[:1]), MONO[:1]),
    "silence": (encode(MONO * 0), MONO * 0),
    "chunks-around": (
        wav(form(more=b"\0\0"), chunk(b"LIST", b"INFO"), chunk(b"data", BODY), chunk(b"LIST", b"")),
        MONO,
    ),
    "broadcast": (
        wav(form(), chunk(b"fact", struct.pack("<I", 41)), chunk(b"data", BODY)),
        MONO,
    ),
}

TWO_PARTS = struct.pack("<HHIIHH", 1, 1, 16_000, 32_000, 2, 16)
DS64 = struct.pack("<QQQI", 4 + 36 + 24 + 8 + len(BODY), len(BODY), 41, 0)

SAME_SAMPLES = {
    "extensible": (encode(STEREO, "WAVEX"), STEREO),
    "flac": (encode(STEREO, "FLAC"), STEREO),
    "flac-one-sample": (encode(MONO[:1], "FLAC"), MONO[:1]),
    "aiff": (encode(MONO, "AIFF"), MONO),
    "rf64": (encode(MONO, "RF64"), MONO),
    "rf64-by-hand": (
        b"RF64\xff\xff\xff\xffWAVE"
        + chunk(b"ds64", DS64)
        + chunk(b"fmt ", TWO_PARTS)
        + chunk(b"data", BODY, 0xFFFFFFFF),
        MONO,
    ),
    "odd-chunk-before": (wav(form(), chunk(b"LIST", b"odd"), chunk(b"data", BODY)), MONO),
    "unknown-chunk-first": (wav(chunk(b"odd ", b"1234"), form(), chunk(b"data", BODY)), MONO),
    "rest-behind": (wav(form(), chunk(b"data", BODY)) + b"\0\0\0", MONO),
    "length-open": (
        wav(form(), chunk(b"data", BODY, 0xFFFFFFFF), riff_size=0xFFFFFFFF),
        MONO,
    ),
    "length-open-by-sox": (
        wav(form(), chunk(b"data", BODY, 0x7FFFF000), riff_size=0x7FFFF024),
        MONO,
    ),
    "half-a-frame-behind": (wav(form(), chunk(b"data", BODY + b"\x01")), MONO),
    # A byte b of 8 bits stands for (b - 128) / 128; the upper byte of 16 bits is b - 128.
    "8-bit": (
        wav(form(bits=8), chunk(b"data", bytes([0, 1, 128, 255]))),
        np.array([[-32768], [-32512], [0], [32512]], np.int16),
    ),
}


def as_tensorflow_hears(data):
    audio, rate = tf.audio.decode_wav(data)
    return (audio.numpy() * 32768).astype(np.int16), int(rate)


@pytest.mark.parametrize("case", KEPT)
def test_plain_wav_stays_as_it_is(case):
    data, samples = KEPT[case]
    assert normalise(data) is data
    heard, rate = as_tensorflow_hears(data)
    np.testing.assert_array_equal(heard, samples)
    assert rate == wavfile.read(io.BytesIO(data))[0]


@pytest.mark.parametrize("case", SAME_SAMPLES)
def test_other_files_become_plain_wav_with_the_same_samples(case):
    data, samples = SAME_SAMPLES[case]
    normal = normalise(data)
    heard, rate = as_tensorflow_hears(normal)
    np.testing.assert_array_equal(heard, samples)
    assert rate == 16_000
    assert normalise(normal) is normal
    np.testing.assert_array_equal(wavfile.read(io.BytesIO(normal))[1], samples.squeeze())


def test_more_bits_are_rounded_to_the_nearest_ties_to_even_and_clipped():
    # In steps of 1/256 of a 16-bit step: 1.5 and 2.5 become 2, 0.498 becomes 0, 127.998 x 256 clips.
    values = [384, 640, 127, 129, -384, 2**23 - 1, -(2**23)]
    expected = [2, 2, 0, 1, -2, 32767, -32768]
    body = b"".join(value.to_bytes(3, "little", signed=True) for value in values)
    for name, data in {
        "wav": wav(form(bits=24), chunk(b"data", body)),
        "flac": encode(np.array(values, np.int32) << 8, "FLAC", "PCM_24"),
        "aiff": encode(np.array(values, np.int32) << 8, "AIFF", "PCM_24"),
        "32": encode(np.array(values, np.int32) << 8, "WAV", "PCM_32"),
        "float": encode(np.array(values) / 2**23, "WAV", "FLOAT"),
        "double": encode(np.array(values) / 2**23, "WAV", "DOUBLE"),
    }.items():
        rate, heard = wavfile.read(io.BytesIO(normalise(data)))
        assert (rate, heard.tolist()) == (16_000, expected), name


def test_floats_over_full_scale_are_clipped():
    data = encode(np.array([1.0, 1.5, -1.0, -2.0, 0.25]), "WAV", "FLOAT")
    heard = wavfile.read(io.BytesIO(normalise(data)))[1]
    assert heard.tolist() == [32767, 32767, -32768, -32768, 8192]


@pytest.mark.parametrize("subtype", ["VORBIS", "OPUS"])
def test_ogg_is_close_to_what_was_encoded(subtype):
    tone = 0.5 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
    rate, heard = wavfile.read(io.BytesIO(normalise(encode(tone, "OGG", subtype))))
    assert (rate, heard.shape) == (16_000, (16_000,))
    error = heard[800:-800] / 32768 - tone[800:-800]
    assert np.sqrt(np.mean(error**2)) < 0.02


def test_mu_law_is_decoded():
    tone = 0.5 * np.sin(np.arange(800) / 5)
    heard = wavfile.read(io.BytesIO(normalise(encode(tone, "WAV", "ULAW", 8_000))))[1]
    np.testing.assert_allclose(heard / 32768, tone, atol=0.02)


FLAC = encode(STEREO, "FLAC")
OGG = encode(MONO, "OGG", "VORBIS")
AIFF = encode(MONO, "AIFF")

FAULTS = {
    "empty": (b"", "The file is empty."),
    "text": (b"no recording at all, but text", "It is no recording of a known format"),
    "avi": (b"RIFF\x04\0\0\0AVI ", "It is no recording of a known format"),
    "mp3": (b"ID3\x04\0" + b"\0" * 50, "It is no recording of a known format"),
    "header-only": (b"RIFF", "It is no recording of a known format"),
    "no-frames": (wav(form(), chunk(b"data", b"")), "The recording has no samples."),
    "no-frames-aiff": (encode(MONO[:0], "AIFF"), "The recording has no samples."),
    "less-than-a-frame": (
        wav(form(channels=2), chunk(b"data", b"\1\2")),
        "The recording has no samples.",
    ),
    "no-data": (wav(form()), "The recording is damaged: it has no `data` chunk."),
    "no-format": (wav(chunk(b"data", BODY)), "The recording is damaged: it has no `fmt ` chunk."),
    "two-data": (
        wav(form(), chunk(b"data", BODY), chunk(b"data", BODY)),
        "The recording is damaged: it has more than one `data` chunk.",
    ),
    "format-cut": (wav(form())[:30], "The recording is damaged: its `fmt ` chunk is cut off"),
    "cut-off": (
        KEPT["mono-8-kHz"][0][:-3],
        "The recording is cut off: its header promises 82 bytes of samples, and 79 are there.",
    ),
    "cut-off-rf64": (
        SAME_SAMPLES["rf64-by-hand"][0][:-40],
        "The recording is cut off: its header promises 82 bytes of samples, and 42 are there.",
    ),
    "length-too-small": (
        wav(form(), b"data" + struct.pack("<I", 10) + b"\1" * 72),
        "The recording is damaged: what follows the 10 bytes of its `data` chunk is no chunk.",
    ),
    "cut-off-flac": (FLAC[:-10], "The recording is damaged: flac decoder lost sync."),
    "other-md5": (
        FLAC[:26] + bytes([FLAC[26] ^ 1]) + FLAC[27:],
        "The recording is damaged: its samples do not have the MD5 that it says.",
    ),
    "cut-off-aiff": (
        AIFF[:-2],
        "The recording is cut off: its header promises 82 bytes of samples, and 80 are there.",
    ),
    "cut-off-ogg": (OGG[:-30], "The recording is cut off in its last page."),
    "half-an-ogg": (OGG[: OGG.rfind(b"OggS")], "The recording is cut off: its last page is"),
    "two-oggs": (OGG + OGG, "The recording has 2 Ogg streams, of which one would be read."),
    # RFC 9639, 8.2: 36 bits of the number of samples; 0 stands for unknown.
    "open-flac": (
        FLAC[:21] + bytes([FLAC[21] & 0xF0, 0, 0, 0, 0]) + FLAC[26:],
        "The recording does not say how long it is, as a FLAC that was written to a pipe",
    ),
    "two-truths": (
        wav(form(channels=2, frame=2), chunk(b"data", BODY)),
        "The recording is damaged: its header contradicts itself (2 channels of 16 bits in frames "
        "of 2 bytes).",
    ),
    "two-rates": (
        wav(form(second=16_000), chunk(b"data", BODY)),
        "The recording is damaged: its header contradicts itself (16000 frames of 2 bytes, but "
        "16000 bytes a second).",
    ),
    "no-channels": (wav(form(channels=0), chunk(b"data", BODY)), "The recording is damaged: its h"),
    "slow": (
        encode(MONO, rate=3_999),
        "The recording has 3999 samples a second; from 4000 to 192000",
    ),
    "fast": (encode(MONO, rate=192_001), "The recording has 192001 samples a second; from 4000"),
    "channels": (
        encode(np.zeros((3, 65), np.int16)),
        "The recording has 65 channels; at most 64 are read.",
    ),
    "nan": (
        encode(np.array([0.0, np.nan, 0.5]), "WAV", "FLOAT"),
        "The recording has samples that are no numbers (1 or more).",
    ),
    "infinite": (
        encode(np.array([0.0, -np.inf]), "WAV", "DOUBLE"),
        "The recording has samples that are no numbers",
    ),
    "integers-as-floats": (
        encode(np.array([0.0, 20_000.0]), "WAV", "FLOAT"),
        "The recording has floating-point samples up to 20000; expected -1 to 1.",
    ),
    "long": (
        encode(np.zeros((2_404_000, 1), np.int16), rate=4_000),
        "The recording lasts 601.0 seconds; at most 600 are read.",
    ),
    "long-flac": (
        encode(np.zeros((2_404_000, 1), np.int16), "FLAC", rate=4_000),
        "The recording lasts 601.0 seconds; at most 600 are read.",
    ),
}


@pytest.mark.parametrize("case", FAULTS)
def test_what_is_no_recording_says_why(case):
    data, reason = FAULTS[case]
    with pytest.raises(AudioFault) as raised:
        normalise(data)
    assert str(raised.value).startswith(reason)


def test_the_limit_of_seconds_can_be_set():
    data = encode(np.zeros((48, 1), np.int16), rate=16_000)
    assert normalise(data, max_seconds=0.003) is data
    with pytest.raises(AudioFault, match=r"lasts 0.0 seconds; at most 0.002 are read"):
        normalise(data, max_seconds=0.002)


def test_a_file_that_claims_hours_costs_no_memory(monkeypatch):
    monkeypatch.setattr("penstock.pipelines.media.audio_files.MAX_WAV_BYTES", 1000)
    data = encode(np.zeros((501, 1), np.int16), "FLAC")
    assert len(data) < 500
    with pytest.raises(AudioFault, match="has 501 samples; at most 500 are read"):
        normalise(data, max_seconds=math.inf)


@pytest.mark.parametrize(
    ("form", "subtype"),
    [("WAV", "PCM_16"), ("WAVEX", "PCM_24"), ("WAV", "FLOAT"), ("RF64", "PCM_16"),
     ("FLAC", "PCM_16"), ("AIFF", "PCM_16"), ("OGG", "VORBIS"), ("OGG", "OPUS")],
)  # fmt: skip
def test_damage_anywhere_is_a_fault_or_a_recording(form, subtype):
    """Flipped bits; where the format has a checksum, samples are never silently others."""
    data = encode(STEREO / 65536, form, subtype)
    whole = normalise(data)
    generator = np.random.default_rng(1)
    outcomes = {"fault": 0, "recording": 0}
    for attempt in range(60):
        damaged = bytearray(data)
        place = generator.integers(len(data) if attempt % 2 else 64)
        damaged[place] ^= 1 << generator.integers(8)
        try:
            normal = normalise(bytes(damaged))
        except AudioFault:
            outcomes["fault"] += 1
        else:
            outcomes["recording"] += 1
            assert normalise(normal) is normal
            if form in ("FLAC", "OGG"):
                assert normal[44:] == whole[44:]
    assert outcomes["fault"]


@pytest.mark.parametrize("form", ["WAV", "FLAC", "AIFF", "OGG", "RF64"])
def test_a_file_cut_anywhere_is_a_fault(form):
    data = encode(STEREO, form, "VORBIS" if form == "OGG" else "PCM_16")
    for size in range(0, len(data) - 1, max(1, len(data) // 60)):
        with pytest.raises(AudioFault):
            normalise(data[:size])


def test_measured():
    rate = 8_000
    tone = np.round(16_384 * np.sin(2 * np.pi * 200 * np.arange(rate) / rate))
    samples = np.concatenate([tone, np.zeros(rate)]).astype("<i2")
    samples[:3] = 32767, -32768, -32767
    found = measure(encode_wav(samples.tobytes(), rate, 1))
    assert (found["sample_rate_hz"], found["channels"], found["seconds"]) == (8_000, 1, 2.0)
    mean_square = np.mean((samples.astype(float) / 32768) ** 2)
    assert found["level_dbfs"] == pytest.approx(10 * np.log10(mean_square), rel=1e-12)
    assert found["peak"] == 1.0
    assert found["clipped_fraction"] == 3 / 16_000
    # 50 windows of 20 ms sound, 50 do not.
    assert found["silent_fraction"] == 0.5


def test_measured_in_stereo_with_a_short_last_window_and_in_blocks():
    samples = np.zeros((200_010, 2), "<i2")
    samples[-10:] = 100, -100  # -50 dBFS, in a last window of 10 frames
    found = measure(encode_wav(samples.tobytes(), 16_000, 2))
    assert found["channels"] == 2
    assert found["seconds"] == 200_010 / 16_000
    assert found["peak"] == 100 / 32768
    assert found["silent_fraction"] == 625 / 626
    assert found["clipped_fraction"] == 0.0


def test_silence_has_a_level_that_can_be_counted_with():
    found = measure(encode(MONO * 0))
    assert (found["level_dbfs"], found["peak"], found["silent_fraction"]) == (-120.0, 0.0, 1.0)
