"""What a recording sounds like, as numbers: level, note onsets, pitches."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

RATE_HZ = 44_100
Samples = npt.NDArray[np.float64]  # (samples, 2), -1..1


def decibels(samples: Samples) -> float:
    """Power relative to full scale."""
    return float(10 * np.log10(np.mean(samples**2) + 1e-15))


def onset_times_s(samples: Samples) -> list[float]:
    """When notes begin: peaks of the spectral flux (Dixon 2006, Onset Detection Revisited).

    The spectrum above 400 Hz, where the plucks are and the pad is not, relative to the loud frames,
    so that the level does not matter, on a logarithmic scale and against the frame before the last
    (both as in Böck and Widmer 2013, SuperFlux). A peak is the greatest of 7 frames, and higher
    than the mean of 21 by 15 % of the highest. Against the notes that Pd itself printed: F-measure
    0.78 to 1.
    """
    hop, size = 512, 2048
    mono = samples.mean(axis=1)
    frames = np.lib.stride_tricks.sliding_window_view(mono, size)[::hop]
    spectrum = np.abs(np.fft.rfft(frames * np.hanning(size), axis=1))[:, 400 * size // RATE_HZ :]
    spectrum *= 1000 / np.percentile(spectrum.sum(axis=1), 90)
    flux = np.maximum((levels := np.log10(1 + spectrum))[2:] - levels[:-2], 0).sum(axis=1)
    near = np.lib.stride_tricks.sliding_window_view(np.pad(flux, 3, mode="edge"), 7)
    far = np.lib.stride_tricks.sliding_window_view(np.pad(flux, 10, mode="edge"), 21)
    threshold = far.mean(axis=1) + 0.15 * flux.max()
    found = np.flatnonzero((flux == near.max(axis=1)) & (flux > threshold))
    return [float(frame * hop / RATE_HZ) for frame in found]


def onset_rate_hz(samples: Samples) -> float:
    return len(onset_times_s(samples)) / (len(samples) / RATE_HZ)


def chroma(samples: Samples) -> Samples:
    """Energy of the twelve pitch classes, C first, 100 to 1000 Hz (Fujishima 1999)."""
    mono = samples.mean(axis=1)
    power = np.abs(np.fft.rfft(mono * np.hanning(len(mono)))) ** 2
    hz = np.fft.rfftfreq(len(mono), 1 / RATE_HZ)
    heard = (hz > 100) & (hz < 1000)
    classes = np.round(12 * np.log2(hz[heard] / 440) + 69).astype(int) % 12
    return np.bincount(classes, power[heard], 12).astype(np.float64)


def new_pitches(samples: Samples, start_s: float, every_s: float, count: int) -> list[float]:
    """The strongest of what is new in each of `count` windows, as MIDI notes."""
    length, size = round(every_s * RATE_HZ), 1 << 16
    hz = np.fft.rfftfreq(size, 1 / RATE_HZ)
    pitches, before = [], np.zeros(len(hz))
    for at in round(start_s * RATE_HZ) + length * np.arange(count):
        mono = samples[at : at + length].mean(axis=1)
        spectrum = np.abs(np.fft.rfft(mono * np.hanning(length), size))
        loudest = np.argmax(np.where((hz > 100) & (hz < 3000), spectrum - before, 0))
        pitches.append(float(69 + 12 * np.log2(hz[loudest] / 440)))
        before = spectrum
    return pitches
