# SPDX-License-Identifier: BSD-3-Clause
# cython: language_level=3, boundscheck=False, wraparound=False
# cython: freethreading_compatible=True
"""The built-in tokenizers of csrc/text as Python classes.

Texts come as the bytes of all of them end to end and the offsets where each begins and the
last ends, one more than there are texts; so do tokens and vocabularies.
"""

from libc.stddef cimport size_t
from libc.stdint cimport int32_t, int64_t, uint8_t

import numpy as np

from rnnkit.errors import InputError

cdef extern from "text/text.h" nogil:
    enum rk_status:
        RK_OK
        RK_NOMEM

    struct rk_error:
        char text[256]

    enum rk_rule:
        RK_WHITESPACE
        RK_WORD
        RK_CHAR
        RK_BYTE

    struct rk_texts:
        const uint8_t *bytes
        size_t n_bytes
        const int64_t *offsets
        size_t n

    struct rk_count:
        int64_t occurrences, documents

    rk_status rk_text_split(rk_rule rule, bint lowercase, const uint8_t *text,
                            size_t n_bytes, uint8_t *tokens, int64_t *offsets,
                            size_t *n_tokens, rk_error *error)

    struct rk_counter
    rk_status rk_counter_create(rk_counter **counter, rk_rule rule, bint lowercase)
    void rk_counter_free(rk_counter *counter)
    rk_status rk_counter_add(rk_counter *counter, const rk_texts *texts, bint continues,
                             rk_error *error)
    int64_t rk_counter_n_documents(const rk_counter *counter)
    size_t rk_counter_n_tokens(const rk_counter *counter)
    size_t rk_counter_n_bytes(const rk_counter *counter)
    void rk_counter_get(const rk_counter *counter, uint8_t *bytes, int64_t *offsets,
                        rk_count *counts)

    struct rk_tokenizer
    rk_status rk_tokenizer_create(rk_tokenizer **tokenizer, rk_rule rule, bint lowercase,
                                  const rk_texts *vocabulary, rk_error *error)
    void rk_tokenizer_free(rk_tokenizer *tokenizer)
    size_t rk_tokenizer_n_tokens(const rk_tokenizer *tokenizer)
    int32_t rk_tokenizer_end_id(const rk_tokenizer *tokenizer)
    int32_t rk_tokenizer_unk_id(const rk_tokenizer *tokenizer)
    rk_status rk_tokenizer_encode(const rk_tokenizer *tokenizer, const rk_texts *texts,
                                  int32_t *ids, int64_t *id_offsets, rk_error *error)
    rk_status rk_tokenizer_decode(const rk_tokenizer *tokenizer, const int32_t *ids,
                                  size_t n, uint8_t *text, size_t capacity,
                                  size_t *n_bytes, rk_error *error)

RULES = {
    "whitespace": RK_WHITESPACE,
    "word": RK_WORD,
    "char": RK_CHAR,
    "byte": RK_BYTE,
}


cdef int check(rk_status status, rk_error *error) except -1:
    """Raise what a status other than RK_OK stands for."""
    if status == RK_OK:
        return 0
    message = error.text.decode("utf-8", "replace")
    if status == RK_NOMEM:
        raise MemoryError(message)
    raise InputError(message)


cdef int rule_of(str name) except -1:
    if name not in RULES:
        raise ValueError(f"unknown rule {name!r}; known: {', '.join(RULES)}")
    return RULES[name]


cdef rk_texts texts_of(bytes data, const int64_t[::1] offsets) except *:
    """The view that C takes; the caller keeps both alive."""
    cdef rk_texts texts
    if offsets.shape[0] == 0:
        raise ValueError("offsets is empty: there is one more than there are texts")
    texts.bytes = data
    texts.n_bytes = len(data)
    texts.offsets = &offsets[0]
    texts.n = offsets.shape[0] - 1
    return texts


cdef class Counter:
    """How often each token occurs: `add` texts as they come, `get` what was counted."""

    cdef rk_counter *handle

    def __cinit__(self, str rule not None, bint lowercase=False):
        if rk_counter_create(&self.handle, <rk_rule>rule_of(rule), lowercase) != RK_OK:
            raise MemoryError("no memory for a counter")

    def __dealloc__(self):
        rk_counter_free(self.handle)

    @property
    def n_documents(self):
        return rk_counter_n_documents(self.handle)

    def add(self, bytes data not None, const int64_t[::1] offsets not None,
            bint continues=False):
        """Count more documents; the first goes on with the last one if `continues`."""
        cdef rk_error error
        cdef rk_status status
        cdef rk_texts texts = texts_of(data, offsets)
        with nogil:
            status = rk_counter_add(self.handle, &texts, continues, &error)
        check(status, &error)

    def get(self):
        """The tokens (bytes, offsets); for each its occurrences and documents, (V, 2)."""
        cdef size_t n = rk_counter_n_tokens(self.handle)
        cdef uint8_t[::1] data = bytearray(rk_counter_n_bytes(self.handle) or 1)
        cdef int64_t[::1] offsets = np.empty(n + 1, np.int64)
        cdef int64_t[:, ::1] counts = np.empty((n or 1, 2), np.int64)
        rk_counter_get(self.handle, &data[0], &offsets[0], <rk_count *>&counts[0, 0])
        return bytes(data[:offsets[n]]), np.asarray(offsets), np.asarray(counts)[:n]


cdef class Tokenizer:
    """A rule and a vocabulary: texts to ids and back. Never changes."""

    cdef rk_tokenizer *handle

    def __cinit__(self, str rule not None, bint lowercase, bytes data not None,
                  const int64_t[::1] offsets not None):
        cdef rk_error error
        cdef rk_status status
        cdef rk_rule number = <rk_rule>rule_of(rule)
        cdef rk_texts vocabulary = texts_of(data, offsets)
        with nogil:
            status = rk_tokenizer_create(&self.handle, number, lowercase, &vocabulary,
                                         &error)
        check(status, &error)

    def __dealloc__(self):
        rk_tokenizer_free(self.handle)

    @property
    def n_tokens(self):
        return rk_tokenizer_n_tokens(self.handle)

    @property
    def end_id(self):
        return rk_tokenizer_end_id(self.handle)

    @property
    def unk_id(self):
        """The id of what is not in the vocabulary; -1: every token is in it."""
        return rk_tokenizer_unk_id(self.handle)

    def encode(self, bytes data not None, const int64_t[::1] offsets not None):
        """The ids of all texts end to end, and the offsets between them."""
        cdef rk_error error
        cdef rk_status status
        cdef rk_texts texts = texts_of(data, offsets)
        cdef int32_t[::1] ids = np.empty(len(data) or 1, np.int32)
        cdef int64_t[::1] id_offsets = np.empty(offsets.shape[0], np.int64)
        with nogil:
            status = rk_tokenizer_encode(self.handle, &texts, &ids[0], &id_offsets[0],
                                         &error)
        check(status, &error)
        return np.asarray(ids)[:id_offsets[texts.n]], np.asarray(id_offsets)

    def decode(self, const int32_t[::1] ids not None):
        """The text of the ids, as str."""
        cdef size_t n_bytes = self._decode(ids, NULL, 0)
        text = bytearray(n_bytes or 1)
        cdef uint8_t[::1] room = text
        self._decode(ids, &room[0], n_bytes)
        return text[:n_bytes].decode("utf-8")

    cdef size_t _decode(self, const int32_t[::1] ids, uint8_t *text,
                        size_t capacity) except? 0:
        """Write what fits; return the bytes needed."""
        cdef rk_error error
        cdef rk_status status
        cdef size_t n_bytes = 0, n = ids.shape[0]
        cdef const int32_t *first = &ids[0] if n > 0 else NULL
        with nogil:
            status = rk_tokenizer_decode(self.handle, first, n, text, capacity, &n_bytes,
                                         &error)
        check(status, &error)
        return n_bytes


def split(str rule not None, bint lowercase, bytes text not None):
    """The tokens of one text as they are looked up: (bytes, offsets)."""
    cdef rk_error error
    cdef rk_status status
    cdef size_t n_tokens = 0, n_bytes = len(text)
    cdef const uint8_t *first = text
    cdef rk_rule number = <rk_rule>rule_of(rule)
    cdef uint8_t[::1] tokens = bytearray(2 * n_bytes or 1)
    cdef int64_t[::1] offsets = np.empty(n_bytes + 1, np.int64)
    with nogil:
        status = rk_text_split(number, lowercase, first, n_bytes, &tokens[0], &offsets[0],
                               &n_tokens, &error)
    check(status, &error)
    return bytes(tokens[:offsets[n_tokens]]), np.asarray(offsets)[:n_tokens + 1]
