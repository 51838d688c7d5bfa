"""Diagnostics of single filters, by numpy alone, on kernels made by hand.

    python filters.py           writes fixtures/filters.json
    python filters.py --check   compares with it and writes nothing

A kernel k has shape [height, width, channels]; y runs downwards, x to the right. Everything is computed in double
precision, which the rule for ties below needs.

totalVariation
    Smoothness: low is smooth. Scale the kernel to 0..1 by its own extremes over all channels,
    s = (k - min k) / (max k - min k). Take |s[y, x+1, c] - s[y, x, c]| for every pair of horizontal neighbours and
    |s[y+1, x, c] - s[y, x, c]| for every pair of vertical ones, over all channels, and return the mean of all of them
    together: their sum divided by their number h(w-1)c + (h-1)wc. A constant kernel and a 1 by 1 kernel give 0.

Spectrum, for the next four
    r = k minus the mean of each channel; each channel of r stands in the top left corner of 64 by 64 zeros; F is its
    2-D discrete Fourier transform; P[v, u] is |F|^2 summed over the channels. The signed frequency of index i is
    i when i <= 32, else i - 64, in units of 1/64 cycle a pixel: u horizontally, v vertically, both in -31..32.
    The zero frequency is left out. Kernels larger than 64 in a direction are not handled.
    A kernel has no spectrum when its channels are all flat: sum r^2 <= 1e-12 sum k^2.

frequency (cycles a pixel, 0..0.71) and orientation (degrees, 0 <= orientation < 180)
    The bin where P is largest. P is equal at (u, v) and (-u, -v), so only one of the two is looked at: 0 <= u <= 32,
    and v >= 0 where u is 0 or 32. Bins with P >= (1 - 1e-9) of the largest count as equal to it; among equals the
    smallest u^2 + v^2 wins, then the smallest orientation.
    frequency = sqrt(u^2 + v^2) / 64; orientation = atan2(v, u) in degrees, plus 180 when negative. It is the direction
    of the wave vector: 0 means vertical stripes, 90 horizontal stripes, 45 a wave that runs down to the right.
    Without a spectrum: frequency 0, orientation null.

noiseScore (0..1)
    The share of the power above half of the Nyquist frequency: the sum of P over bins with u^2 + v^2 > 16^2, divided
    by the sum over all bins but zero; here all 64 by 64 bins take part. White noise gives about 1 - pi/16 = 0.80 on
    average. Without a spectrum: 0.

spectralEntropy (0..1)
    What tells noise from clean fine stripes, which both score high above. With p = P divided by the sum over all bins
    but zero: -(sum of p ln p) / ln(64 * 64 - 1), where a bin of p = 0 adds 0. A wave gathers its power in few bins
    (about 0.67 at 11 by 11, 0.78 at 7 by 7), white noise of three channels fills them all (about 0.98 for both).
    Without a spectrum: 0.

colourfulness (0..1)
    For kernels of three channels: the mean over the pixels of the standard deviation of their three values, divided by
    the standard deviation of all values of the kernel (both divide by n, not n - 1). 0 is grey, 1 is a kernel
    whose pixels all have the same colour. A kernel of one single value gives 0. With another number of channels: null.
"""

import argparse
import math

import numpy as np

from fixture import write_or_check

SIZE = 64
NYQUIST = SIZE // 2


def total_variation(kernel: np.ndarray) -> float:
    low, high = kernel.min(), kernel.max()
    if low == high:
        return 0.0
    scaled = (kernel - low) / (high - low)
    steps = np.concatenate([np.abs(np.diff(scaled, axis=axis)).ravel() for axis in (0, 1)])
    return float(steps.mean()) if steps.size else 0.0


def power(kernel: np.ndarray) -> np.ndarray | None:
    """P, 64 by 64, its zero frequency set to 0; None without a spectrum."""
    residual = kernel - kernel.mean(axis=(0, 1))
    if (residual**2).sum() <= 1e-12 * (kernel**2).sum():
        return None
    spectrum = (np.abs(np.fft.fft2(residual, (SIZE, SIZE), axes=(0, 1))) ** 2).sum(axis=2)
    spectrum[0, 0] = 0
    return spectrum


def dominant_wave(spectrum: np.ndarray | None) -> tuple[float, float | None]:
    """Frequency and orientation of the largest bin."""
    if spectrum is None:
        return 0.0, None
    waves = []
    for u in range(NYQUIST + 1):
        for v in range(0 if u in (0, NYQUIST) else 1 - NYQUIST, NYQUIST + 1):
            if (u, v) != (0, 0):
                waves.append((spectrum[v % SIZE, u], u * u + v * v, math.degrees(math.atan2(v, u)) % 180))
    largest = max(wave[0] for wave in waves)
    squared, orientation = min(wave[1:] for wave in waves if wave[0] >= largest * (1 - 1e-9))
    return math.sqrt(squared) / SIZE, orientation


def noise_score(spectrum: np.ndarray | None) -> float:
    if spectrum is None:
        return 0.0
    signed = np.fft.fftfreq(SIZE, 1 / SIZE)
    high = signed[:, None] ** 2 + signed[None, :] ** 2 > (NYQUIST / 2) ** 2
    return float(spectrum[high].sum() / spectrum.sum())


def spectral_entropy(spectrum: np.ndarray | None) -> float:
    if spectrum is None:
        return 0.0
    share = spectrum[spectrum > 0] / spectrum.sum()
    return float(-(share * np.log(share)).sum() / math.log(SIZE * SIZE - 1))


def colourfulness(kernel: np.ndarray) -> float | None:
    if kernel.shape[2] != 3:
        return None
    if kernel.min() == kernel.max():
        return 0.0
    return float(kernel.std(axis=2).mean() / kernel.std())


def diagnose(kernel: np.ndarray) -> dict:
    spectrum = power(kernel)
    frequency, orientation = dominant_wave(spectrum)
    return {
        "totalVariation": total_variation(kernel),
        "frequency": frequency,
        "orientation": orientation,
        "noiseScore": noise_score(spectrum),
        "spectralEntropy": spectral_entropy(spectrum),
        "colourfulness": colourfulness(kernel),
    }


def gabor(size: int, frequency: float, degrees: float, colour: list[float], phase: float = 0) -> np.ndarray:
    """A wave of known frequency and direction under a round Gaussian, in one colour."""
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    angle = math.radians(degrees)
    wave = np.cos(2 * np.pi * frequency * (x * math.cos(angle) + y * math.sin(angle)) + phase)
    return (wave * np.exp(-(x**2 + y**2) / (2 * (size / 4) ** 2)))[..., None] * colour


def blob(size: int, sigma_y: float, sigma_x: float, colour: list[float]) -> np.ndarray:
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    return np.exp(-(y**2) / (2 * sigma_y**2) - x**2 / (2 * sigma_x**2))[..., None] * colour


def ramp(size: int) -> np.ndarray:
    """Grey values that rise evenly, mostly to the right and somewhat downwards."""
    y, x = np.mgrid[:size, :size]
    return ((2 * x + y) / (3 * (size - 1)) - 0.5)[..., None] * np.ones(3)


def noise(shape: tuple[int, int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.1, shape)


GREY = [0.5, 0.5, 0.5]
# Each with the frequency and orientation of the wave it was made from, where it was.
KERNELS = {
    "vertical stripes, grey, 11": (gabor(11, 0.2, 0, GREY), (0.2, 0)),
    "horizontal stripes, grey, 7": (gabor(7, 0.25, 90, GREY, phase=1), (0.25, 90)),
    "oblique stripes, grey, 11": (gabor(11, 0.15, 60, GREY, phase=np.pi / 2), (0.15, 60)),
    "oblique stripes, grey, 7": (gabor(7, 0.3, 135, GREY), (0.3, 135)),
    "oblique stripes, red against green, 11": (gabor(11, 0.18, 25, [0.5, -0.5, 0.0]), (0.18, 25)),
    "checkerboard, grey, 7": (gabor(7, math.sqrt(0.5), 45, GREY), (math.sqrt(0.5), 45)),
    "round blob, blue against yellow, 7": (blob(7, 1.5, 1.5, [-0.2, -0.2, 0.4]), None),
    "long blob, orange, 11": (blob(11, 1.5, 3, [0.5, 0.2, -0.1]), None),
    "ramp, grey, 11": (ramp(11), None),
    "white noise, 11": (noise((11, 11, 3), 1), None),
    "white noise, 7": (noise((7, 7, 3), 2), None),
    "white noise, 3 by 5 by 4": (noise((3, 5, 4), 3), None),
    "one colour, 7": (np.full((7, 7, 3), [0.3, -0.1, 0.1]), None),
    "constant, 7": (np.full((7, 7, 3), 0.1), None),
    "one by one, 8 channels": (noise((1, 1, 8), 4), None),
}


def main() -> None:
    parser = argparse.ArgumentParser(description="filter diagnostics by numpy, as numbers to test against")
    parser.add_argument("--check", action="store_true", help="compare with the fixture and write nothing")
    arguments = parser.parse_args()

    kernels = {}
    for name, (raw, wave) in KERNELS.items():
        kernel = np.round(raw, 6) + 0.0  # both sides use the rounded values; + 0.0 turns -0 into 0
        found = diagnose(kernel)
        if wave is not None:
            turn = abs(found["orientation"] - wave[1])
            if abs(found["frequency"] - wave[0]) > 0.02 or min(turn, 180 - turn) > 5:
                raise AssertionError(f"{name}: made with {wave}, found {found}")
        kernels[name] = {
            "shape": list(kernel.shape),
            "madeOf": None if wave is None else {"frequency": wave[0], "orientation": wave[1]},
            **{key: value if value is None else round(value, 9) for key, value in found.items()},
            "kernel": kernel.ravel().tolist(),
        }
        print(name, {key: kernels[name][key] for key in found})
    write_or_check("filters.json", {"numpy": np.__version__, "kernels": kernels}, arguments.check)


if __name__ == "__main__":
    main()
