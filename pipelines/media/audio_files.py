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

import numpy as np

from penstock.pipelines.media.audio_containers import (
    MAX_FLOAT_PEAK,
    MAX_RATE_HZ,
    MIN_RATE_HZ,
    PCM,
    UNKNOWN,
    AudioFault,
    check_aiff,
    check_ogg,
    cut_off,
    damaged,
    read_wave,
)

MAX_SECONDS = 600.0
"""The default limit: in memory, ten minutes at 48 kHz in stereo are 115 MB of 16-bit samples."""
MAX_WAV_BYTES = 512 * 2**20
"""Of decoded 16-bit samples, whatever `max_seconds` is: FLAC packs hours of silence into nothing."""
MAX_CHANNELS = 64
_UNKNOWN_FRAMES = 2**62
"""libsndfile gives 2**63 - 1 as the length of a FLAC that says none."""

SILENCE_DBFS = -60.0
"""A window of 20 ms is silent below this level."""
FLOOR_DBFS = -120.0
"""The level of digital silence, instead of minus infinity."""
WINDOW_MS = 20

_KNOWN = {b"RIFF": "RIFF", b"RIFX": "RIFX", b"RF64": "RF64", b"fLaC": "FLAC", b"FORM": "FORM"}
_KNOWN[b"OggS"] = "OGG"
_FLOATING = ("FLOAT", "DOUBLE", "VORBIS", "OPUS")
_WIDE = ("PCM_24", "PCM_32")
_BLOCK_FRAMES = 65_536
_FLAC_BITS = {"PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}


class _Bytes(io.BytesIO):
    def seek(self, offset, whence=io.SEEK_SET):
        """As `BytesIO`, but libsndfile may ask for a place before the beginning (a damaged file)."""
        if whence == io.SEEK_SET and offset < 0:
            return self.tell()
        return super().seek(offset, whence)


def normalise(data: bytes, max_seconds: float = MAX_SECONDS) -> bytes:
    """Encoded recording -> 16-bit PCM WAV that TensorFlow decodes to the same samples.

    Raises:
        AudioFault: empty, no recording of a known format, no samples, cut off or damaged, a header
            that contradicts itself, samples that are no numbers, floats of another scale, longer
            than `max_seconds` or larger than `MAX_WAV_BYTES`, a rate outside of `MIN_RATE_HZ` to
            `MAX_RATE_HZ`, or a number of channels that no recording has.
    """
    if not data:
        raise AudioFault("The file is empty.")
    kind = _KNOWN.get(data[:4])
    if kind is None:
        raise AudioFault(UNKNOWN)
    if kind in ("RIFF", "RIFX", "RF64"):
        wave = read_wave(data, kind)
        if wave.plain:
            _check_size(wave.channels, wave.rate_hz, wave.size // (2 * wave.channels), max_seconds)
            return data
    elif kind == "FORM":
        check_aiff(data)
    elif kind == "OGG":
        check_ogg(data)
    return _decode(data, kind, max_seconds)


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
    if frames >= _UNKNOWN_FRAMES:
        raise AudioFault(
            "The recording does not say how long it is, as a FLAC that was written to a pipe: whether "
            "it is complete cannot be told. Write it to a file."
        )
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
                raise cut_off(f"{file.frames} frames", frames)
            if kind == "FLAC":
                _compare_md5(data, digest)
            return encode_wav(b"".join(blocks), file.samplerate, file.channels)
    except soundfile.LibsndfileError as error:
        text = error.error_string.removeprefix("Error : ").rstrip(".")
        raise damaged(text) from None


def _read_block(file, digest):
    """The next frames as int16 [frames, channels]; `digest` sees the samples as FLAC counts them."""
    if file.subtype in _FLOATING:
        return _from_floats(file.read(_BLOCK_FRAMES, "float64", always_2d=True))
    wide = file.subtype in _WIDE
    block = file.read(_BLOCK_FRAMES, "int32" if wide else "int16", always_2d=True)
    if digest is not None:
        digest.update(_as_flac(block, file.subtype))
    return np.clip(np.rint(block / 65536.0), -32768, 32767) if wide else block


def _from_floats(block):
    bad = ~np.isfinite(block)
    if bad.any():
        raise AudioFault(f"The recording has samples that are no numbers ({bad.sum()} or more).")
    peak = np.abs(block).max(initial=0.0)
    if peak > MAX_FLOAT_PEAK:
        raise AudioFault(
            f"The recording has floating-point samples up to {peak:g}; expected -1 to 1."
        )
    return np.clip(np.rint(block * 32768), -32768, 32767)


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
        raise damaged("its samples do not have the MD5 that it says")


def encode_wav(samples: bytes, rate_hz: int, channels: int) -> bytes:
    """Interleaved little-endian 16-bit samples -> a WAV of the plainest layout."""
    frame_bytes = 2 * channels
    return b"".join(
        (
            struct.pack("<4sI4s", b"RIFF", 36 + len(samples), b"WAVE"),
            struct.pack("<4sIHH", b"fmt ", 16, PCM, channels),
            struct.pack("<IIHH", rate_hz, rate_hz * frame_bytes, frame_bytes, 16),
            struct.pack("<4sI", b"data", len(samples)),
            samples,
        )
    )


def from_samples(samples: np.ndarray, rate_hz: int) -> bytes:
    """Samples [frames] or [frames, channels] -> 16-bit PCM WAV, rounded as by `normalise`.

    Integers are 16-bit samples, whatever their dtype; floats go from -1 to 1.

    Raises:
        AudioFault: no samples, integers of more bits, floats as in `normalise`.
    """
    samples = samples.reshape(len(samples), -1)
    _check_size(samples.shape[1], rate_hz, len(samples), math.inf)
    if samples.dtype.kind == "f":
        samples = _from_floats(samples.astype(np.float64))
    elif samples.min() < -32768 or samples.max() > 32767:
        raise AudioFault(
            f"The recording has samples from {samples.min()} to {samples.max()}; expected 16 bits."
        )
    return encode_wav(samples.astype("<i2").tobytes(), rate_hz, samples.shape[1])


def rate_and_channels(data: bytes) -> tuple[int, int]:
    """(samples a second, channels) of what `normalise` returned; only the header is read."""
    wave = read_wave(data, "RIFF")
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
    wave = read_wave(wav, "RIFF")
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
