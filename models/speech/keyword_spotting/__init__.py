"""Keyword spotting: one label for each short recording.

`wav.py`, `resampling.py` and `waveforms.py` take a WAV file of 4 to 192 kHz to samples of one rate, up
to so many seconds, inside the graph; `spectrogram.py` and `networks.py` are the model,
`augmentation.py` the random changes in training. Begin with `task.py`; `config.py` holds every setting
with its default.
"""
