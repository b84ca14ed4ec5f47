"""Finds identifiers in bytes, in four encodings: 8 bytes little and big endian, decimal digits, hexadecimal."""

import re

import numpy as np


def found_in(data: bytes, identifiers: np.ndarray) -> set[int]:
    """Return which of the identifiers (u8[n]) stand anywhere in data."""
    known = np.unique(np.asarray(identifiers, "u8"))
    hits: list[np.ndarray] = []
    for offset in range(8):
        words = np.frombuffer(data[offset : offset + (len(data) - offset) // 8 * 8], "<u8")
        hits += [words[np.isin(words, known)], words.byteswap()[np.isin(words.byteswap(), known)]]
    hits += [runs(data, rb"[0-9]{10,}", 10, known), runs(data, rb"[0-9a-fA-F]{9,}", 16, known)]
    return {int(hit) for some in hits for hit in some}


def runs(data: bytes, pattern: bytes, base: int, known: np.ndarray) -> np.ndarray:
    """Return the identifiers written in digits anywhere inside of a run of digits."""
    by_length: dict[int, set[bytes]] = {}
    for number in known.tolist():
        text = (str(number) if base == 10 else f"{number:x}").encode()
        by_length.setdefault(len(text), set()).add(text)
    hits = []
    for run in re.findall(pattern, data):
        for length, texts in by_length.items():
            parts = (run[at : at + length].lower() for at in range(len(run) - length + 1))
            hits += [int(part, base) for part in parts if part in texts]
    return np.array(hits, "u8")
