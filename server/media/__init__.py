"""Finished recordings: one seekable file, its waveform and its poster, made of chunks that stay the truth."""
