"""Speech recognition: what is said in a recording, by connectionist temporal classification (CTC).

How a WAV file becomes a spectrogram is in `models/speech/front_end/`. `transcripts.py` takes texts to
tokens and back, `deep_speech.py` and `conformer.py` are the networks, `loss.py` is CTC, `decoding.py`
takes the network's answer to text and to words with their times, `evaluation.py` counts errors. Begin
with `task.py`; `config.py` holds every setting with its default.
"""
