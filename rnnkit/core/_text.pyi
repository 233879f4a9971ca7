# SPDX-License-Identifier: BSD-3-Clause
import numpy as np
import numpy.typing as npt

Ids = npt.NDArray[np.int32]
Offsets = npt.NDArray[np.int64]

RULES: dict[str, int]

class Counter:
    n_documents: int
    def __init__(self, rule: str, lowercase: bool = False) -> None: ...
    def add(self, data: bytes, offsets: Offsets, continues: bool = False) -> None: ...
    def get(self) -> tuple[bytes, Offsets, npt.NDArray[np.int64]]: ...

class Tokenizer:
    n_tokens: int
    end_id: int
    unk_id: int
    def __init__(
        self, rule: str, lowercase: bool, data: bytes, offsets: Offsets
    ) -> None: ...
    def encode(self, data: bytes, offsets: Offsets) -> tuple[Ids, Offsets]: ...
    def decode(self, ids: Ids) -> str: ...

def split(rule: str, lowercase: bool, text: bytes) -> tuple[bytes, Offsets]: ...
