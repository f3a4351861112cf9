"""From the logits of each frame to tokens, and to words with their times. TensorFlow ops, for serving.

Comes in: natural logarithms of probabilities, float32 [batch, frames, ids], the blank first; frames
of each recording, int32 [batch]. All else behind a recording's end is a blank.
"""

import keras
import tensorflow as tf

from penstock.models.speech.recognition.config import Beam
from penstock.models.speech.recognition.transcripts import BLANK, with_single_blanks

NO_TOKEN = -1


def greedy(log_probabilities, frames):
    """The likeliest alignment.

    Returns:
        ids: int32 [batch, frames], `NO_TOKEN` behind the last token; score: float32 [batch], ln of the
        probability of this alignment.
    """
    is_frame = tf.sequence_mask(frames, tf.shape(log_probabilities)[1])
    best = tf.reduce_max(log_probabilities, axis=-1)
    score = tf.reduce_sum(tf.where(is_frame, best, 0.0), axis=1)
    # The operation refuses a batch without any row.
    count = tf.shape(frames)[0]
    logits, lengths = at_least_one_row(log_probabilities), tf.maximum(at_least_one_row(frames), 1)
    ids, _ = keras.ops.ctc_decode(logits, lengths, "greedy", mask_index=BLANK)
    return ids[0][:count], score


def at_least_one_row(rows):
    """A batch of any shape [batch, ...]; an empty one becomes one row of zeros."""
    more = tf.cast(tf.shape(rows)[0] == 0, tf.int32)
    paddings = tf.pad([[0, more]], [[0, len(rows.shape) - 1], [0, 0]])
    return tf.ensure_shape(tf.pad(rows, paddings), [None, *rows.shape[1:]])


def beam(log_probabilities, frames, config: Beam):
    """The likeliest text that a beam search finds.

    Returns:
        ids: as of `greedy`; score: float32 [batch], ln of the probability of the text, summed over the
        alignments that were followed; complete: bool [batch], False where time was over.
    """
    ids, score = greedy(log_probabilities, frames)
    with tf.control_dependencies([log_probabilities]):
        end = tf.timestamp() + config.max_seconds

    def search(one):
        log_probabilities, frames, ids, score = (tensor[None] for tensor in one)
        in_time = tf.timestamp() < end
        ids, score = tf.cond(
            in_time,
            lambda: _searched(log_probabilities, frames, config.beam_size),
            lambda: (ids, score),
        )
        return ids[0], score[0], in_time

    specs = (tf.TensorSpec([None], tf.int32), tf.TensorSpec([]), tf.TensorSpec([], tf.bool))
    # One after the other: a search is no step that could be interrupted.
    return tf.map_fn(
        search,
        (log_probabilities, frames, ids, score),
        fn_output_signature=specs,
        parallel_iterations=1,
    )


def _searched(log_probabilities, frames, beam_size):
    ids, score = keras.ops.ctc_decode(
        log_probabilities, frames, "beam_search", beam_width=beam_size, mask_index=BLANK
    )
    return ids[0], score[:, 0]


def texts_of(ids, token_texts: list[bytes]):
    """int32 [batch, frames], `NO_TOKEN` behind the last -> string [batch], single blanks."""
    pieces = tf.gather(tf.constant(token_texts), tf.maximum(ids, BLANK))
    return _valid(tf.strings.reduce_join(tf.where(ids > BLANK, pieces, b""), axis=1))


def words_and_times(log_probabilities, frames, token_texts: list[bytes], max_words: int):
    """The words of the likeliest alignment, and the frames of each.

    A word begins with the first frame of its first token and ends with the last of its last; what a
    blank begins (a character, or a subword's first) is a new word.

    Args:
        max_words: width of what comes out; of so many frames as two words need there is room for one.

    Returns:
        words: string [batch, max_words], empty behind the last; first, last: int32 [batch, max_words],
        frames, 0 behind the last; count: int32 [batch].
    """
    is_frame = tf.sequence_mask(frames, tf.shape(log_probabilities)[1])
    ids = tf.where(is_frame, tf.argmax(log_probabilities, axis=-1, output_type=tf.int32), BLANK)
    before = tf.pad(ids[:, :-1], [[0, 0], [1, 0]])
    is_new = (ids != BLANK) & (ids != before)
    pieces = tf.where(is_new, tf.gather(tf.constant(token_texts), ids), b"")
    words = tf.strings.split(_valid(tf.strings.reduce_join(pieces, axis=1)), " ")
    sounds = tf.gather(tf.constant([text not in (b"", b" ") for text in token_texts]), ids)
    opens = tf.gather(tf.constant([text[:1] == b" " for text in token_texts]), ids)
    # Which of the stretches between blanks a frame is in; some are empty.
    stretch = tf.cumsum(tf.cast(is_new & opens, tf.int32), axis=1)
    first, last = _ends(stretch, sounds)
    shape = [None, max_words]
    return (
        words.to_tensor("", shape=shape),
        first.to_tensor(0, shape=shape),
        last.to_tensor(0, shape=shape),
        tf.cast(first.row_lengths(), tf.int32),
    )


def _ends(stretch, sounds):
    """First and last sounding frame of each stretch that has any: ragged int32 [batch, (words)]."""
    batch, frames = tf.unstack(tf.shape(stretch))
    place = stretch + tf.range(batch)[:, None] * (frames + 1)
    frame = tf.broadcast_to(tf.range(frames), tf.shape(stretch))
    places, found = tf.boolean_mask(place, sounds), tf.boolean_mask(frame, sounds)
    segments, shape = batch * (frames + 1), [batch, frames + 1]
    first = tf.reshape(tf.math.unsorted_segment_min(found, places, segments), shape)
    last = tf.reshape(tf.math.unsorted_segment_max(found, places, segments), shape)
    # Of an empty segment the smallest integer.
    is_there = last >= 0
    return tf.ragged.boolean_mask(first, is_there), tf.ragged.boolean_mask(last, is_there)


def _valid(texts):
    """Single blanks; bytes of subwords that are no UTF-8 together become U+FFFD."""
    return with_single_blanks(
        tf.strings.unicode_transcode(texts, "UTF-8", "UTF-8", errors="replace")
    )
