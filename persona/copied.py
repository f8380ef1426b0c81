"""Whether a text copies the training lines: hashes of every eight words in a row, in `copied.hashes`.

A run's key is the front of its BLAKE2b hash. The keys are sorted into buckets by their first bits,
so only the last 16 bits of each are stored, beside one byte a bucket: 18 to 20 bits a run. A run
that stands in no line is taken for one that does with a chance of 3 to 6 in 100,000 (12 in a union of
several), which depends on nothing but how full the buckets are. No text can be read out of the file;
whoever has a text can ask whether it is in there, as in everything that can tell a copy.
"""

import hashlib
import struct
import sys
from array import array
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from pathlib import Path

from persona.card import CardError
from persona.words import words_of

FILE_NAME = "copied.hashes"
RUN = 8
VERSION = 1  # raise it when `words_of` or the hash gives other keys
_REST_BITS = 16
_FULL_LOG2 = 2  # a bucket of a set that is made of texts holds 2 to 4 runs on average
_FULLEST = 8  # of a union's buckets, on average
_MAGIC = b"ECHOCOPY"
_HEADER = struct.Struct("<8sHBBQ")  # magic, version, words a run, log2 of the buckets, runs
_CHECKSUM_BYTES = 16


class CopiedLinesError(CardError):
    """A hash set that is damaged or from another version, in one sentence."""


class CopiedLines:
    """The set of all runs of eight words inside a line; `len` is how many there are.

    `counts` are the runs of each bucket, one byte for each of 2^k buckets; `rests` the last 16
    bits of every run's key, bucket after bucket.
    """

    def __init__(self, counts: bytes, rests: "array[int]") -> None:
        self._counts, self._rests = counts, rests
        self._shift = 64 - _REST_BITS - (len(counts).bit_length() - 1)
        self._ends = array("I", accumulate(counts, initial=0))

    @classmethod
    def of(cls, texts: Iterable[str]) -> "CopiedLines":
        """Make the set of `texts`, each a line; the order makes no difference."""
        shards = [array("Q") for _ in range(256)]  # by the first byte: a large corpus need not become one set
        for text in texts:
            for key in _keys(text):
                shards[key >> 56].append(key)
        return cls._of_keys(shards, 64)

    @classmethod
    def union(cls, sets: Sequence["CopiedLines"]) -> "CopiedLines | None":
        """Make the set of all runs of several, of which as many bits are known as in the smallest.

        None where that is so small that its bits would tell too little of the others.
        """
        sets = [one for one in sets if len(one)] or list(sets)
        known = min(one._known_bits() for one in sets)
        if sum(map(len, sets)) > _FULLEST << (known - _REST_BITS):
            return None
        shards = [array("Q") for _ in range(256)]
        for one in sets:
            for key in one._kept():
                short = key >> (one._known_bits() - known)
                shards[short >> (known - 8)].append(short)
        return cls._of_keys(shards, known)

    @classmethod
    def _of_keys(cls, shards: Sequence["array[int]"], known: int) -> "CopiedLines":
        """Make the set of keys of `known` bits, in shards by their first bits."""
        runs = sum(len(set(shard)) for shard in shards)
        bits = min(max(0, runs.bit_length() - _FULL_LOG2), known - _REST_BITS)
        counts, rests = bytearray(1 << bits), array("H")
        for shard in shards:
            for key in sorted({key >> (known - _REST_BITS - bits) for key in shard}):
                counts[key >> _REST_BITS] += 1
                rests.append(key & 0xFFFF)
        return cls(bytes(counts), rests)

    def __len__(self) -> int:
        return len(self._rests)

    def copies(self, text: str) -> bool:
        """Say whether eight words in a row of `text` stand in a line."""
        return any(map(self._holds, _keys(text)))

    def write(self, folder: Path) -> None:
        """Write `copied.hashes` into `folder`, whole or not at all."""
        new = folder / f".{FILE_NAME}.new"
        new.write_bytes(self.to_bytes())
        new.replace(folder / FILE_NAME)

    @classmethod
    def read(cls, folder: Path) -> "CopiedLines | None":
        """Read the set of a checkpoint folder, None where it has none; raises CopiedLinesError."""
        file = folder / FILE_NAME
        try:
            content = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CopiedLinesError(f"{file} cannot be read: {error.strerror or type(error).__name__}") from error
        try:
            return cls.from_bytes(content)
        except ValueError as error:
            raise CopiedLinesError(f"{file} {error}") from error

    def _known_bits(self) -> int:
        return 64 - self._shift

    def _kept(self) -> Iterator[int]:
        """Yield what is known of every run's key: the bits of its bucket, then the rest."""
        for bucket, count in enumerate(self._counts):
            for rest in self._rests[self._ends[bucket] : self._ends[bucket] + count]:
                yield bucket << _REST_BITS | rest

    def _holds(self, key: int) -> bool:
        place = key >> self._shift
        bucket = place >> _REST_BITS
        return place & 0xFFFF in self._rests[self._ends[bucket] : self._ends[bucket + 1]]

    def to_bytes(self) -> bytes:
        """Return the file: header, counts, rests (each two bytes, little-endian) and a BLAKE2b checksum."""
        header = _HEADER.pack(_MAGIC, VERSION, RUN, len(self._counts).bit_length() - 1, len(self))
        content = header + self._counts + _little_endian(self._rests).tobytes()
        return content + _checksum(content)

    @classmethod
    def from_bytes(cls, content: bytes) -> "CopiedLines":
        """Return the set of a file's content; raises ValueError with the rest of a sentence about the file."""
        body, checksum = content[:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
        if len(body) < _HEADER.size or not body.startswith(_MAGIC) or checksum != _checksum(body):
            raise ValueError("is damaged: copy the checkpoint again, or delete the file to go on without it")
        _, version, run, bits, runs = _HEADER.unpack_from(body)
        if (version, run) != (VERSION, RUN):
            raise ValueError(f"has version {version} with {run} words a run, this program reads {VERSION} with {RUN}")
        counts = body[_HEADER.size : _HEADER.size + (1 << bits)]
        rests = array("H", body[_HEADER.size + len(counts) :])
        if len(counts) != 1 << bits or not len(rests) == runs == sum(counts):
            raise ValueError("is damaged: its buckets do not hold what it says")
        return cls(counts, _little_endian(rests))


def _keys(text: str) -> Iterator[int]:
    """Yield the 64-bit hash of every run of eight words."""
    words = words_of(text)
    for run in zip(*(words[start:] for start in range(RUN)), strict=False):
        yield int.from_bytes(hashlib.blake2b(" ".join(run).encode(), digest_size=8).digest())


def _checksum(content: bytes) -> bytes:
    return hashlib.blake2b(content, digest_size=_CHECKSUM_BYTES).digest()


def _little_endian(rests: "array[int]") -> "array[int]":
    """Return `rests` as they lie in the file, or back; on nearly every machine that is what they are."""
    if sys.byteorder == "big":
        rests = rests[:]
        rests.byteswap()
    return rests
