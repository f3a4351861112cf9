"""What every task on recordings shares: from a WAV file to a spectrogram, and random changes.

`wav.py`, `resampling.py` and `waveforms.py` take a WAV file of 4 to 192 kHz to samples of one rate, up
to so many seconds, inside the graph; `augmentation.py` changes them in training. `spectrogram.py`,
`spec_augment.py` and `layers.py` are Keras layers, which `network_input.py` joins to what each
network begins with. `config.py` has the settings. `models/speech/keyword_spotting/` and
`models/speech/recognition/` are the users.
"""
