"""Recordings as the page shows them: waveform, spectrogram, and the sound itself where it is short.

Comes in: an encoded recording. Goes out: plain values; no library of plots is needed, so that a
dozen of them take a tenth of a second.
"""

import base64
import io

import numpy as np
from matplotlib import colormaps
from PIL import Image

from penstock.pipelines.media.audio_containers import AudioFault, read_wave
from penstock.pipelines.media.audio_files import measure, normalise
from penstock.tfx.report import formats

WIDTH, WAVE_HEIGHT, SPECTROGRAM_HEIGHT = 240, 40, 72
"""In CSS pixels, which are the spectrogram's own."""
MOST_SECONDS = 30.0
"""Of a recording are drawn."""
MOST_PLAYED_BYTES, MOST_PLAYED_CHARACTERS = 320_000, 3_000_000
"""Of one recording, ten seconds at 16 kHz, and of all that are shown together as data URIs."""
WINDOW_MS, RANGE_DB = 25, 80
_COLORS = (255 * colormaps["magma"](np.arange(256))[:, :3]).astype(np.uint8)


def picture(data: bytes) -> dict | None:
    """{wave, spectrogram, about, played, seconds} of a recording; None where it cannot be decoded.

    `wave`: an SVG path, scaled to the recording's own peak; `spectrogram`: a data URI, from 0 Hz at
    the bottom to half the sample rate at the top; `played`: a data URI, or None for a long one;
    `seconds`: how much of it is drawn.
    """
    try:
        wav = normalise(data)
        facts = measure(wav)
    except AudioFault:
        return None
    wave = read_wave(wav, "RIFF")
    stored = np.frombuffer(wav, "<i2", wave.size // 2, wave.offset).reshape(-1, wave.channels)
    samples = stored[: round(MOST_SECONDS * wave.rate_hz)].astype(np.float32).mean(axis=1) / 32768
    cut = facts["seconds"] > MOST_SECONDS
    channels = {1: "mono", 2: "stereo"}.get(wave.channels, f"{wave.channels} channels")
    about = [
        f"{formats.number(facts['seconds'], 3)} s" + (", the first 30 s drawn" if cut else ""),
        f"{formats.number(wave.rate_hz / 1000)} kHz",
        channels,
        f"{formats.fixed(facts['level_dbfs'], 0)} dB",
    ]
    encoded = base64.b64encode(wav).decode() if len(wav) <= MOST_PLAYED_BYTES else None
    return {
        "wave": _envelope(samples),
        "spectrogram": _spectrogram(samples, wave.rate_hz),
        "about": ", ".join(about),
        "played": f"data:audio/wav;base64,{encoded}" if encoded else None,
        "seconds": min(facts["seconds"], MOST_SECONDS),
    }


def limit_played(pictures: list[dict | None]) -> None:
    """Takes the sound from those pictures with which a page would become too large."""
    total = 0
    for found in pictures:
        total += len(found["played"] or "") if found else 0
        if found and total > MOST_PLAYED_CHARACTERS:
            found["played"] = None


def _envelope(samples: np.ndarray) -> str:
    """The largest and smallest sample of each column of pixels, as a closed path."""
    columns = min(WIDTH, len(samples))
    starts = np.arange(columns) * len(samples) // columns
    top, bottom = np.maximum.reduceat(samples, starts), np.minimum.reduceat(samples, starts)
    middle = WAVE_HEIGHT / 2
    scale = (middle - 1) / (float(np.abs(samples).max()) or 1.0)
    step = WIDTH / columns
    upper = [(step * (i + 0.5), middle - scale * float(v) - 0.3) for i, v in enumerate(top)]
    lower = [(step * (i + 0.5), middle - scale * float(v) + 0.3) for i, v in enumerate(bottom)]
    return "M" + "L".join(f"{x:.4g} {y:.3g}" for x, y in upper + lower[::-1]) + "Z"


def _spectrogram(samples: np.ndarray, rate_hz: int) -> str:
    size = max(16, round(WINDOW_MS * rate_hz / 1000))
    samples = np.pad(samples, (0, max(0, size - len(samples))))
    starts = np.linspace(0, len(samples) - size, min(WIDTH, len(samples) - size + 1)).astype(int)
    frames = samples[starts[:, None] + np.arange(size)] * np.hanning(size).astype(np.float32)
    power = np.abs(np.fft.rfft(frames)) ** 2
    top = power.max() or 1.0
    level = 1 + 10 * np.log10(np.maximum(power / top, 1e-12)) / RANGE_DB
    pixels = _COLORS[(255 * np.clip(level, 0, 1)).astype(np.uint8).T[::-1]]
    image = Image.fromarray(pixels).resize((WIDTH, SPECTROGRAM_HEIGHT), Image.Resampling.BILINEAR)
    stream = io.BytesIO()
    image.save(stream, "JPEG", quality=75)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
