"""Encoded recordings without TensorFlow: check, normalise, measure (libsndfile, by `soundfile`).

What is stored must sound the same to TensorFlow's `decode_wav` in the serving graph as it does here.
That op reads 16-bit PCM WAV of a plain layout only, so those bytes stay as they are. Other WAV (8,
24 and 32-bit, float, µ-law, A-law, ADPCM, WAVE_FORMAT_EXTENSIBLE, RF64, odd chunks, a length left
open), FLAC, AIFF and Ogg (Vorbis, Opus) are decoded and stored as 16-bit PCM WAV at their own rate
and with their own channels: samples of more bits and floats (times 32768) are rounded to the nearest
integer, ties to even, and clipped to -32768..32767; 8 bits become the upper byte. An incomplete
frame at the end is dropped. A FLAC's MD5 of its samples is compared where it has one.
"""

import hashlib
import io
import math
import struct
from dataclasses import dataclass

import numpy as np

MAX_SECONDS = 600.0
"""The default limit: in memory, ten minutes at 48 kHz in stereo are 115 MB of 16-bit samples."""
MAX_WAV_BYTES = 512 * 2**20
"""Of decoded 16-bit samples, whatever `max_seconds` is: FLAC packs hours of silence into nothing."""
MIN_RATE_HZ, MAX_RATE_HZ = 1_000, 384_000
MAX_CHANNELS = 64
MAX_FLOAT_PEAK = 4.0
"""12 dB over full scale. Larger floats are samples of another scale (integers written as floats)."""

SILENCE_DBFS = -60.0
"""A window of 20 ms is silent below this level."""
FLOOR_DBFS = -120.0
"""The level of digital silence, instead of minus infinity."""
WINDOW_MS = 20

_KNOWN = {b"RIFF": "RIFF", b"RIFX": "RIFX", b"RF64": "RF64", b"fLaC": "FLAC", b"FORM": "FORM"}
_KNOWN[b"OggS"] = "OGG"
_OPEN_LENGTH = 0x7FFFF000
"""A program that writes to a pipe cannot know the length: FFmpeg says 0xFFFFFFFF, SoX 0x7FFFF000.

So long a recording is not read here anyway.
"""
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_FLOATING = ("FLOAT", "DOUBLE", "VORBIS", "OPUS")
_WIDE = ("PCM_24", "PCM_32")
_BLOCK_FRAMES = 65_536
_FLAC_BITS = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}


class AudioFault(ValueError):
    """The bytes are no usable recording; the message is the reason, a sentence."""


class _Bytes(io.BytesIO):
    def seek(self, offset, whence=io.SEEK_SET):
        """As `BytesIO`, but libsndfile may ask for a place before the beginning (a damaged file)."""
        if whence == io.SEEK_SET and offset < 0:
            return self.tell()
        return super().seek(offset, whence)


@dataclass(frozen=True)
class _Wave:
    """What the chunks of a WAV say. `offset` and `size` of the samples in bytes."""

    channels: int
    rate_hz: int
    offset: int
    size: int
    plain: bool


def normalise(data: bytes, max_seconds: float = MAX_SECONDS) -> bytes:
    """Encoded recording -> 16-bit PCM WAV that TensorFlow decodes to the same samples.

    Raises:
        AudioFault: empty, no recording of a known format, no samples, cut off or damaged, a header
            that contradicts itself, samples that are no numbers, floats of another scale, longer
            than `max_seconds` or larger than `MAX_WAV_BYTES`, a rate or number of channels that no
            recording has.
    """
    if not data:
        raise AudioFault("The file is empty.")
    kind = _KNOWN.get(data[:4])
    if kind is None:
        raise AudioFault("It is no recording of a known format (WAV, FLAC, AIFF, Ogg).")
    if kind in ("RIFF", "RIFX", "RF64"):
        wave = _read_wave(data, kind)
        if wave.plain:
            _check_size(wave.channels, wave.rate_hz, wave.size // (2 * wave.channels), max_seconds)
            return data
    elif kind == "FORM":
        _check_aiff(data)
    elif kind == "OGG":
        _check_ogg(data)
    return _decode(data, kind, max_seconds)


def _read_wave(data, kind):
    """The chunks of a WAV; raises AudioFault for what no reader could make sense of."""
    order = ">" if kind == "RIFX" else "<"
    if data[8:12] != b"WAVE":
        raise AudioFault("It is no recording of a known format (WAV, FLAC, AIFF, Ogg).")
    header, samples, large, plain, first = None, None, None, kind == "RIFF", True
    for name, offset, size in _chunks(data, order):
        _check_name(name, samples)
        if name == b"fmt ":
            if header is not None or size < 16 or offset + 16 > len(data):
                raise _damaged("its `fmt ` chunk is cut off or there twice")
            header = struct.unpack_from(f"{order}HHIIHH", data, offset)
            plain &= first and size in (16, 18)
        elif name == b"ds64" and size >= 24 and offset + 24 <= len(data):
            large = struct.unpack_from("<Q", data, offset + 8)[0]
        elif name == b"data":
            if samples is not None:
                raise _damaged("it has more than one `data` chunk")
            samples = offset, size
        # TensorFlow does not skip the padding byte of an odd chunk, nor read past the last one.
        plain &= size % 2 == 0 and offset + size <= len(data)
        end = offset + size
        first = False
    if header is None or samples is None:
        raise _damaged(f"it has no `{'fmt ' if header is None else 'data'}` chunk")
    form, channels, rate_hz, bytes_per_second, frame_bytes, bits = header
    _check_header(form, channels, rate_hz, bytes_per_second, frame_bytes, bits)
    offset, size = samples
    size = large if kind == "RF64" and size == 0xFFFFFFFF and large is not None else size
    there = len(data) - offset
    if size >= _OPEN_LENGTH:
        size = there
    elif size > there:
        raise _cut_off(f"{size} bytes of samples", there)
    if not size or size < frame_bytes:
        raise AudioFault("The recording has no samples.")
    plain &= form == _PCM and bits == 16 and end == len(data) and size % frame_bytes == 0
    return _Wave(channels, rate_hz, offset, size, plain)


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
        raise _damaged(f"what follows the {samples[1]} bytes of its `data` chunk is no chunk")


def _check_header(form, channels, rate_hz, bytes_per_second, frame_bytes, bits):
    if not channels or not rate_hz or not frame_bytes:
        raise _damaged("its header has a rate, a number of channels or a frame of 0")
    if form not in (_PCM, _FLOAT, _EXTENSIBLE):
        return
    if frame_bytes != channels * ((bits + 7) // 8):
        raise _damaged(
            f"its header contradicts itself ({channels} channels of {bits} bits in frames of "
            f"{frame_bytes} bytes)"
        )
    if bytes_per_second != rate_hz * frame_bytes:
        raise _damaged(
            f"its header contradicts itself ({rate_hz} frames of {frame_bytes} bytes, but "
            f"{bytes_per_second} bytes a second)"
        )


def _check_aiff(data):
    """Its two chunks must agree on the number of samples, and those must be there."""
    there, promised = None, None
    for name, offset, size in _chunks(data, ">"):
        if name == b"SSND":
            there = max(0, min(size, len(data) - offset) - 8)
            if size > len(data) - offset:
                raise _cut_off(f"{size - 8} bytes of samples", there)
        elif name == b"COMM" and size >= 18 and offset + 18 <= len(data):
            channels, frames, bits = struct.unpack_from(">HIH", data, offset)
            promised = frames * channels * ((bits + 7) // 8)
    # The other form, AIFC, may be compressed. Some writers count the padding byte.
    plain = data[8:12] == b"AIFF" and None not in (there, promised)
    if plain and there not in (promised, promised + promised % 2):
        raise _damaged(f"its header promises {promised} bytes of samples, but it has {there}")


def _check_ogg(data):
    """The last page must be there in full and say that it is the last."""
    page = data.rfind(b"OggS")
    header = data[page : page + 27]
    segments = data[page + 27 : page + 27 + header[26]] if len(header) == 27 else b""
    if len(header) < 27 or len(segments) < header[26] or not header[5] & 4:
        raise AudioFault("The recording is cut off: its last page is missing.")
    if page + 27 + len(segments) + sum(segments) > len(data):
        raise AudioFault("The recording is cut off in its last page.")


def _check_size(channels, rate_hz, frames, max_seconds):
    if not MIN_RATE_HZ <= rate_hz <= MAX_RATE_HZ:
        raise AudioFault(
            f"The recording has {rate_hz} samples a second; from {MIN_RATE_HZ} to {MAX_RATE_HZ} "
            "are read."
        )
    if channels > MAX_CHANNELS:
        raise AudioFault(f"The recording has {channels} channels; at most {MAX_CHANNELS} are read.")
    if frames <= 0:
        raise AudioFault("The recording has no samples.")
    if frames > max_seconds * rate_hz:
        raise AudioFault(
            f"The recording lasts {frames / rate_hz:.1f} seconds; at most {max_seconds:g} are read."
        )
    if frames * channels * 2 > MAX_WAV_BYTES:
        raise AudioFault(
            f"The recording has {frames * channels} samples; at most {MAX_WAV_BYTES // 2} are read."
        )


def _decode(data, kind, max_seconds):
    """Anything that libsndfile reads -> a plain WAV, a block of frames at a time."""
    import soundfile

    try:
        with soundfile.SoundFile(_Bytes(data)) as file:
            _check_size(file.channels, file.samplerate, file.frames, max_seconds)
            digest = hashlib.md5(usedforsecurity=False)
            blocks, frames = [], 0
            while frames < file.frames:
                block = _read_block(file, digest if kind == "FLAC" else None)
                if not len(block):
                    break
                blocks.append(block.astype("<i2").tobytes())
                frames += len(block)
            if frames != file.frames:
                raise _cut_off(f"{file.frames} frames", frames)
            if kind == "FLAC":
                _compare_md5(data, digest)
            return encode_wav(b"".join(blocks), file.samplerate, file.channels)
    except soundfile.LibsndfileError as error:
        text = error.error_string.removeprefix("Error : ").rstrip(".")
        raise _damaged(text) from None


def _read_block(file, digest):
    """The next frames as int16 [frames, channels]; `digest` sees the samples as FLAC counts them."""
    if file.subtype in _FLOATING:
        block = file.read(_BLOCK_FRAMES, "float64", always_2d=True)
        _check_floats(block)
        return np.clip(np.rint(block * 32768), -32768, 32767)
    wide = file.subtype in _WIDE
    block = file.read(_BLOCK_FRAMES, "int32" if wide else "int16", always_2d=True)
    if digest is not None:
        digest.update(_as_flac(block, file.subtype))
    return np.clip(np.rint(block / 65536.0), -32768, 32767) if wide else block


def _check_floats(block):
    bad = ~np.isfinite(block)
    if bad.any():
        raise AudioFault(f"The recording has samples that are no numbers ({bad.sum()} or more).")
    peak = np.abs(block).max(initial=0.0)
    if peak > MAX_FLOAT_PEAK:
        raise AudioFault(
            f"The recording has floating-point samples up to {peak:g}; expected -1 to 1."
        )


def _as_flac(block, subtype):
    bits = _FLAC_BITS.get(subtype, 16)
    if bits == 16:
        return block.astype("<i2").tobytes()
    if bits == 8:
        return (block >> 8).astype("i1").tobytes()
    return (block >> 8).astype("<i4").view("u1").reshape(-1, 4)[:, :3].tobytes()


def _compare_md5(data, digest):
    # RFC 9639, 8.2: the block STREAMINFO comes first, with the MD5 in its last 16 of 34 bytes.
    expected = data[26:42]
    if any(expected) and expected != digest.digest():
        raise _damaged("its samples do not have the MD5 that it says")


def _cut_off(promised, there):
    return AudioFault(
        f"The recording is cut off: its header promises {promised}, and {there} are there."
    )


def _damaged(text):
    return AudioFault(f"The recording is damaged: {text}.")


def encode_wav(samples: bytes, rate_hz: int, channels: int) -> bytes:
    """Interleaved little-endian 16-bit samples -> a WAV of the plainest layout."""
    frame_bytes = 2 * channels
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", 36 + len(samples), b"WAVE"),
            struct.pack("<4sIHH", b"fmt ", 16, _PCM, channels),
            struct.pack("<IIHH", rate_hz, rate_hz * frame_bytes, frame_bytes, 16),
            struct.pack("<4sI", b"data", len(samples)),
            samples,
        )
    )


def rate_and_channels(data: bytes) -> tuple[int, int]:
    """(samples a second, channels) of what `normalise` returned; only the header is read."""
    wave = _read_wave(data, "RIFF")
    return wave.rate_hz, wave.channels


def measure(data: bytes) -> dict[str, float]:
    """What a recording is like.

    `sample_rate_hz`, `channels`, `seconds`; `level_dbfs`: root mean square of all samples over full
    scale, in dB (`FLOOR_DBFS` at least; a square wave of full scale has 0, a sine -3); `peak`: the
    largest magnitude over full scale, 0..1; `clipped_fraction`: of samples, of magnitude 32767 or
    more; `silent_fraction`: of windows of `WINDOW_MS`, whose level is below `SILENCE_DBFS`.

    Raises:
        AudioFault: see `normalise`.
    """
    wav = normalise(data, max_seconds=math.inf)
    wave = _read_wave(wav, "RIFF")
    samples = np.frombuffer(wav, "<i2", wave.size // 2, wave.offset)
    window = max(1, wave.rate_hz * WINDOW_MS // 1000) * wave.channels
    quiet = (32768 * 10 ** (SILENCE_DBFS / 20)) ** 2
    energy = peak = clipped = silent = windows = 0
    step = window * max(1, _BLOCK_FRAMES // window)
    for start in range(0, len(samples), step):
        # As floats: the magnitude of -32768 is no int16. Sums of their squares are exact below 2**53.
        block = samples[start : start + step].astype(np.float64)
        magnitudes = np.abs(block)
        peak = max(peak, magnitudes.max())
        clipped += np.count_nonzero(magnitudes >= 32767)
        starts = np.arange(0, len(block), window)
        sums = np.add.reduceat(block * block, starts)
        sizes = np.diff(starts, append=len(block))
        energy += sums.sum()
        silent += np.count_nonzero(sums < quiet * sizes)
        windows += len(starts)
    mean = energy / len(samples) / 32768**2
    return {
        "sample_rate_hz": wave.rate_hz,
        "channels": wave.channels,
        "seconds": len(samples) / wave.channels / wave.rate_hz,
        "level_dbfs": max(FLOOR_DBFS, 10 * math.log10(mean)) if mean else FLOOR_DBFS,
        "peak": float(peak) / 32768,
        "clipped_fraction": float(clipped / len(samples)),
        "silent_fraction": float(silent / windows),
    }
