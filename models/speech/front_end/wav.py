"""WAV files inside a TensorFlow graph: bytes -> samples.

Comes in: the bytes of one file. Goes out: its samples and rate, rounded to 16 bits as ExampleGen
rounds what it stores (`pipelines/media/audio_files.py`), so that a request carries the file as it is
and gets the answer that the stored recording would get. `tf.audio.decode_wav` reads 16-bit PCM of a
plain layout only. Not read here, though ExampleGen converts them: RIFX, RF64, compressed samples.
"""

import tensorflow as tf

from penstock.pipelines.media.audio_containers import MAX_FLOAT_PEAK

PCM, FLOAT, EXTENSIBLE = 1, 3, 0xFFFE
"""Format tags of RFC 2361 and mmreg.h; of EXTENSIBLE the true one is at byte 24 of its chunk."""
OPEN_LENGTH = 0x7FFFF000
"""From here on a size means "up to the end": a program that writes to a pipe cannot know it."""


def decode(encoded):
    """One WAV file -> its samples and rate.

    Args:
        encoded: string []; PCM of 8, 16, 24 or 32 bits or float of 32 or 64 bits, any number of
            channels. Chunks of other kinds are skipped.

    Returns:
        samples: float32 [frames, channels], whole numbers from -32768 to 32767: wider samples are
        rounded to the nearest, ties to even, and clipped; 8 bits are the upper byte.
        rate_hz: int64 [].

    Raises:
        tf.errors.InvalidArgumentError: empty, no WAV, damaged, cut off, without samples, of another
            coding, or with samples that are no numbers or of another scale (floats beyond 4.0);
            the message says which.
    """
    form, channels, rate_hz, bits, offset, size = _described(encoded)
    data = _part(encoded, offset, size)
    samples = _samples(data, form, bits)
    finite = (tf.reduce_all(tf.math.is_finite(samples)), "it has samples that are no numbers", [])
    samples = _checked(samples, [finite])
    peak = tf.reduce_max(tf.abs(samples)) / 32768.0
    text = "its floating-point samples must be from -1 to 1; the largest is"
    samples = _checked(samples, [(peak <= MAX_FLOAT_PEAK, text, [peak])])
    return tf.reshape(tf.clip_by_value(samples, -32768.0, 32767.0), [-1, channels]), rate_hz


def length(encoded):
    """One WAV file -> its frames and rate, int64 [] each; raises what `decode` raises of a header."""
    _, channels, rate_hz, bits, _, size = _described(encoded)
    return size // (channels * ((bits + 7) // 8)), rate_hz


def _described(encoded):
    """Format tag, channels, rate_hz, bits; offset and size of whole frames: int64 [] each."""
    header, offset, size = _chunks(_checked_riff(encoded))
    form, channels, rate_hz, frame_bytes, bits = _format(header)
    there = _bytes(encoded) - offset
    size = tf.where(size >= OPEN_LENGTH, there, size)
    checks = (
        (size <= there, "it is cut off: bytes of samples promised and there", [size, there]),
        (size >= frame_bytes, "it has no samples: bytes of samples", [size]),
    )
    offset = _checked(offset, checks)
    return form, channels, rate_hz, bits, offset, size // frame_bytes * frame_bytes


def _checked_riff(encoded):
    size = _bytes(encoded)
    start, kind = _part(encoded, 0, 4), _part(encoded, tf.minimum(size, 8), 4)
    checks = (
        (size > 0, "it is empty: bytes", [size]),
        ((start == b"RIFF") & (kind == b"WAVE"), "it does not begin as a WAV does: bytes", [size]),
    )
    return _checked(encoded, checks)


def _chunks(encoded):
    """The content of the chunk `fmt `, string []; offset and size of the samples, int64 []."""
    length = _bytes(encoded)

    def more(position, header, offset, size):
        del header, size
        return (offset < 0) & (position + 8 <= length)

    def read(position, header, offset, size):
        name = _part(encoded, position, 4)
        size = _integer(encoded, position + 4, 4)
        header = tf.where(name == b"fmt ", _part(encoded, position + 8, size), header)
        offset = tf.where(name == b"data", position + 8, offset)
        # A chunk of an odd size is followed by a byte of padding.
        return position + 8 + size + size % 2, header, offset, size

    none, first, empty = (tf.constant(number, tf.int64) for number in (-1, 12, 0))
    _, header, offset, size = tf.while_loop(more, read, (first, tf.constant(b""), none, empty))
    checks = (
        (offset >= 0, "it has no chunk `data`: bytes", [length]),
        (_bytes(header) >= 16, "its chunk `fmt ` is missing or cut off", []),
    )
    return _checked(header, checks), offset, size


def _format(header):
    """Format tag, channels, rate_hz, bytes of a frame and bits of a sample, int64 [] each."""
    places = ((0, 2), (2, 2), (4, 4), (12, 2), (14, 2))
    form, channels, rate_hz, frame_bytes, bits = (_integer(header, *place) for place in places)
    is_extended = (form == EXTENSIBLE) & (_bytes(header) >= 26)
    # Where there is no such place, any other is read in vain.
    form = tf.where(is_extended, _integer(header, tf.where(is_extended, 24, 0), 2), form)
    fits = (frame_bytes > 0) & (frame_bytes == channels * ((bits + 7) // 8)) & (rate_hz > 0)
    text = "its header contradicts itself: format tag, channels, rate, bytes of a frame, bits"
    facts = [form, channels, rate_hz, frame_bytes, bits]
    # All of them wait for the check: a division by 0 would come first.
    return tf.unstack(_checked(tf.stack(facts), [(fits, text, facts)]))


def _samples(data, form, bits):
    """Bytes of samples, string [] -> float32 [samples], rounded to units of 16-bit samples."""

    def raw(dtype):
        return tf.io.decode_raw(data, dtype)

    def of_24_bits():
        # As the upper bytes of 32-bit integers, so that the sign is in its place.
        upper = tf.pad(tf.reshape(raw(tf.uint8), [-1, 3]), [[0, 0], [1, 0]])
        return tf.bitcast(upper, tf.int32)

    def scaled(values, factor):
        # In float64: float32 would round 32-bit samples a first time.
        return lambda: tf.cast(tf.round(tf.cast(values(), tf.float64) * factor), tf.float32)

    codings = {
        (PCM, 8): scaled(lambda: tf.cast(raw(tf.uint8), tf.int32) - 128, 256.0),
        (PCM, 16): scaled(lambda: raw(tf.int16), 1.0),
        (PCM, 24): scaled(of_24_bits, 1.0 / 65536.0),
        (PCM, 32): scaled(lambda: raw(tf.int32), 1.0 / 65536.0),
        (FLOAT, 32): scaled(lambda: raw(tf.float32), 32768.0),
        (FLOAT, 64): scaled(lambda: raw(tf.float64), 32768.0),
    }
    is_coding = tf.reduce_all(tf.constant(list(codings), tf.int64) == [form, bits], axis=1)
    text = "its coding is not read (8 to 32-bit PCM, 32 or 64-bit float are): format tag and bits"
    coding = _checked(tf.argmax(is_coding), [(tf.reduce_any(is_coding), text, [form, bits])])
    return tf.switch_case(tf.cast(coding, tf.int32), list(codings.values()))


def _part(encoded, offset, num_bytes):
    """Bytes from `offset` on; as many as there are, if these are fewer."""
    return tf.strings.substr(encoded, tf.cast(offset, tf.int64), tf.cast(num_bytes, tf.int64))


def _bytes(encoded):
    return tf.cast(tf.strings.length(encoded), tf.int64)


def _integer(encoded, offset, num_bytes: int):
    """An unsigned little-endian number inside of a string, int64 []."""
    data = tf.io.decode_raw(_part(encoded, offset, num_bytes), tf.uint8)
    return tf.reduce_sum(tf.cast(data, tf.int64) * [256**n for n in range(num_bytes)])


def _checked(value, checks):
    """`value`, once all `(condition, what is wrong, values to show)` hold."""
    asserts = [
        tf.debugging.Assert(
            condition,
            [f"A recording must be a WAV file. Received one that cannot be read: {fault}", *shown],
        )
        for condition, fault, shown in checks
    ]
    with tf.control_dependencies(asserts):
        return tf.identity(value)
