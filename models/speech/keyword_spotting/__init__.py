"""Keyword spotting: one label for each short recording.

How a WAV file becomes a spectrogram is in `models/speech/front_end/`; `networks.py` is the model. Begin
with `task.py`; `config.py` holds every setting with its default.
"""
