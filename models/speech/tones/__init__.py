"""Recordings told apart by their sound: the smallest task with audio in.

It shows raw WAV bytes in a request and the log-mel spectrogram as a layer of the model. Begin with
`task.py`.
"""
