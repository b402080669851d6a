# cython: language_level=3, boundscheck=False, wraparound=False, initializedcheck=False
"""The C core as Python sees it; _core.pyi is the manual."""

from libc.stdint cimport INT64_MIN, UINT32_MAX, int64_t, uint8_t, uint16_t, uint32_t, uint64_t
from libc.stdlib cimport free, malloc, realloc
from libc.string cimport memchr, memset

import threading
import time

import numpy as np


cdef extern from "haechi/error.h":
    enum:
        HX_EINVAL
        HX_ENOMEM
    ctypedef struct hx_error:
        char text[512]
    const char *hx_strerror(int code) nogil

cdef extern from "haechi/slice.h":
    ctypedef struct hx_slice:
        const char *ptr
        uint32_t len

cdef extern from "haechi/format.h":
    ctypedef struct hx_record:
        int64_t time_us
        hx_slice host
        hx_slice process
        hx_slice pid
        hx_slice thread
        hx_slice level
        hx_slice message
        uint8_t facility
        uint8_t severity
    ctypedef struct hx_format_scratch:
        int64_t now_us
    ctypedef struct hx_format
    int hx_format_create(const char *spec, hx_format **out, hx_error *err) nogil
    void hx_format_destroy(hx_format *format) nogil
    int hx_format_parse(const hx_format *format, hx_slice line, hx_format_scratch *scratch,
                        hx_record *record) nogil
    const char *hx_format_detect(const hx_slice *lines, uint32_t line_count) nogil
    const char *hx_format_preset_name(uint32_t i) nogil
    const char *hx_format_preset_pattern(uint32_t i) nogil

cdef extern from "haechi/template.h":
    ctypedef struct hx_miner
    ctypedef struct hx_matcher
    ctypedef struct hx_match_scratch
    ctypedef struct hx_miner_config:
        uint32_t max_templates
        uint32_t max_tokens
        uint64_t max_memory_bytes
    int hx_miner_create(const hx_miner_config *config, hx_miner **out, hx_error *err) nogil
    void hx_miner_destroy(hx_miner *miner) nogil
    int hx_miner_learn(hx_miner *miner, hx_slice message) nogil
    int hx_miner_finish(hx_miner *miner, char **json, size_t *json_len, hx_error *err) nogil
    int hx_matcher_create(const char *json, size_t json_len, hx_matcher **out, hx_error *err) nogil
    void hx_matcher_destroy(hx_matcher *matcher) nogil
    uint32_t hx_matcher_count(const hx_matcher *matcher) nogil
    const char *hx_matcher_text(const hx_matcher *matcher, uint32_t log_key) nogil
    int hx_match_scratch_create(const hx_matcher *matcher, hx_match_scratch **out) nogil
    void hx_match_scratch_destroy(hx_match_scratch *scratch) nogil
    uint32_t hx_matcher_match(const hx_matcher *matcher, hx_match_scratch *scratch,
                              hx_slice message) nogil

cdef extern from "haechi/text.h":
    ctypedef struct hx_text:
        char *ptr
        size_t len
    void hx_text_free(hx_text *text) nogil

cdef extern from "haechi/values.h":
    ctypedef struct hx_match_place:
        void *form
        uint64_t hash
    hx_match_place hx_matcher_look(const hx_match_scratch *scratch, hx_slice message) nogil
    ctypedef struct hx_value_study
    int hx_value_study_create(const hx_matcher *matcher, uint32_t block, hx_value_study **out) nogil
    void hx_value_study_destroy(hx_value_study *study) nogil
    int hx_value_study_learn(hx_value_study *study, hx_slice message, uint32_t log_key) nogil
    int hx_value_study_finish(const hx_value_study *study, hx_text *json) nogil
    ctypedef struct hx_values
    int hx_values_create(const char *json, size_t len, const hx_matcher *matcher, hx_values **out,
                         hx_error *err) nogil
    void hx_values_destroy(hx_values *values) nogil
    int hx_match_scratch_watch(hx_match_scratch *scratch, const hx_values *values) nogil
    uint32_t hx_matcher_judge_at(const hx_matcher *matcher, hx_match_scratch *scratch,
                                 hx_slice message, hx_match_place place, uint16_t *odd) nogil
    uint32_t hx_values_judge(const hx_values *values, hx_match_scratch *scratch, hx_slice message,
                             uint32_t log_key) nogil

cdef extern from "haechi/users.h":
    hx_slice hx_user_find(hx_slice word, hx_slice text) nogil

cdef extern from "haechi/front.h":
    enum:
        HX_FIELD_HOST
        HX_FIELD_PROCESS
        HX_FIELD_PID
        HX_FIELD_THREAD
    ctypedef enum hx_session_by:
        HX_SESSION_BY_FIELDS
        HX_SESSION_BY_VALUE
        HX_SESSION_BY_TIME
        HX_SESSION_BY_ALL
    ctypedef struct hx_session_rule:
        hx_session_by by
        uint32_t fields
        char prefix[32]
        uint32_t seconds
    ctypedef struct hx_event:
        uint64_t session
        int64_t time_us
        uint32_t line
        uint32_t length
        uint32_t key
        uint8_t name_len
        uint8_t first_of_line
        char name[48]
    ctypedef struct hx_front_counters:
        uint64_t lines
        uint64_t empty
        uint64_t malformed
        uint64_t unseen
    ctypedef struct hx_front
    int hx_front_create(const hx_format *format, const hx_matcher *matcher,
                        const hx_session_rule *rule, hx_front **out, hx_error *err) nogil
    void hx_front_destroy(hx_front *front) nogil
    uint32_t hx_front_capacity(uint32_t length) nogil
    const char *HX_FRONT_KEYS
    uint32_t hx_front_read(hx_front *front, const char *buffer, uint32_t length, int64_t now_us,
                           hx_event *events, uint32_t capacity, uint32_t *consumed,
                           hx_front_counters *counters) nogil

cdef extern from *:
    """
    #define HAECHI_READ_BYTES (1u << 30) /* a read of the front: its offsets have 32 bits */
    """
    const uint32_t HAECHI_READ_BYTES


class CoreError(ValueError):
    def __init__(self, str message, int code):
        super().__init__(message)
        self.code = code


cdef int check(int rc, hx_error *err) except -1:
    """The core's refusal as an exception, in its own sentence where it gave one."""
    cdef const char *text
    if rc < 0:
        text = hx_strerror(rc)
        if err != NULL and err.text[0]:
            text = err.text
        raise CoreError(text.decode("utf-8", "replace"), rc)
    return 0


cdef inline const char *start(const uint8_t[::1] data) noexcept nogil:
    if data.shape[0] == 0:
        return ""
    return <const char *>&data[0]


cdef inline bint next_line(const char **at, const char *end, hx_slice *line) noexcept nogil:
    """Cuts the line at *at (without its newline) and moves past it; false at the end."""
    cdef const char *newline
    if at[0] >= end:
        return False
    newline = <const char *>memchr(at[0], 10, end - at[0])
    if newline == NULL:
        newline = end
    line.ptr = at[0]
    # A slice has 32 bits of length; what a longer line has past that is not looked at.
    line.len = <uint32_t>min(newline - at[0], <ssize_t>UINT32_MAX)
    at[0] = newline + 1
    return True


cdef inline void cut_return(hx_slice *line) noexcept nogil:
    """A carriage return before the newline is not of the line; the front reads it so, too."""
    if line.len and line.ptr[line.len - 1] == 13:
        line.len -= 1


cdef inline int64_t now_us() noexcept:
    return <int64_t>(time.time() * 1e6)


cdef Py_ssize_t count_lines(const char *at, const char *end) noexcept nogil:
    cdef hx_slice line
    cdef Py_ssize_t n = 0
    while next_line(&at, end, &line):
        n += 1
    return n


cdef class Format:
    """A compiled header format; immutable, so any number of threads may share it."""

    cdef hx_format *ptr

    def __cinit__(self, str spec not None):
        cdef hx_error err
        cdef bytes text = spec.encode()
        if b"\0" in text:
            raise CoreError("a header format must not hold a NUL byte", HX_EINVAL)
        err.text[0] = 0
        check(hx_format_create(text, &self.ptr, &err), &err)

    def __dealloc__(self):
        hx_format_destroy(self.ptr)


def format_presets():
    cdef uint32_t i = 0
    presets = {}
    while hx_format_preset_name(i) != NULL:
        presets[hx_format_preset_name(i).decode()] = hx_format_preset_pattern(i).decode()
        i += 1
    return presets


def format_detect(const uint8_t[::1] data not None):
    cdef const char *at = start(data)
    cdef const char *end = at + data.shape[0]
    cdef Py_ssize_t n = min(count_lines(at, end), <Py_ssize_t>UINT32_MAX)
    cdef hx_slice *lines = <hx_slice *>malloc((n + 1) * sizeof(hx_slice))
    cdef Py_ssize_t i = 0
    if lines == NULL:
        raise MemoryError
    try:
        while i < n and next_line(&at, end, &lines[i]):
            cut_return(&lines[i])
            i += lines[i].len > 0
        return hx_format_detect(lines, <uint32_t>i).decode()
    finally:
        free(lines)


cdef inline bytes to_bytes(hx_slice s):
    return s.ptr[:s.len] if s.len else b""


def parse(const uint8_t[::1] data not None, str format_spec not None):
    cdef Format format = Format(format_spec)
    cdef const char *at = start(data)
    cdef const char *end = at + data.shape[0]
    cdef hx_format_scratch scratch
    cdef hx_record record
    cdef hx_slice line
    memset(&scratch, 0, sizeof(scratch))
    scratch.now_us = now_us()
    times, malformed, messages, facilities, severities = [], [], [], [], []
    fields = {name: [] for name in ("host", "process", "pid", "thread", "level")}
    while next_line(&at, end, &line):
        cut_return(&line)
        bad = hx_format_parse(format.ptr, line, &scratch, &record) < 0
        malformed.append(bad)
        times.append(INT64_MIN if bad else record.time_us)
        messages.append(to_bytes(record.message))
        facilities.append(record.facility)
        severities.append(record.severity)
        fields["host"].append(to_bytes(record.host))
        fields["process"].append(to_bytes(record.process))
        fields["pid"].append(to_bytes(record.pid))
        fields["thread"].append(to_bytes(record.thread))
        fields["level"].append(to_bytes(record.level))
    return {
        "time_us": np.array(times, dtype=np.int64),
        "malformed": np.array(malformed, dtype=np.bool_),
        "message": messages,
        "facility": np.array(facilities, dtype=np.uint8),
        "severity": np.array(severities, dtype=np.uint8),
        "fields": fields,
    }


def behind_process(const uint8_t[::1] data not None, str format_spec not None):
    cdef Format format = Format(format_spec)
    cdef const char *at = start(data)
    cdef const char *end = at + data.shape[0]
    cdef const char *behind
    cdef hx_format_scratch scratch
    cdef hx_record record
    cdef hx_slice line
    memset(&scratch, 0, sizeof(scratch))
    scratch.now_us = now_us()
    texts = []
    while next_line(&at, end, &line):
        cut_return(&line)
        if hx_format_parse(format.ptr, line, &scratch, &record) < 0 or record.process.len == 0:
            texts.append(b"")
            continue
        behind = record.process.ptr + record.process.len
        inside = line.ptr <= behind < line.ptr + line.len
        texts.append(behind[:line.ptr + line.len - behind] if inside else b"")
    return texts


def find_users(words not None, texts not None):
    cdef hx_slice word, text, name
    cdef const uint8_t[::1] of_word, of_text
    found = []
    for one, other in zip(words, texts, strict=True):
        of_word, of_text = one, other
        word.ptr, word.len = start(of_word), of_word.shape[0]
        text.ptr, text.len = start(of_text), of_text.shape[0]
        name = hx_user_find(word, text)
        found.append(to_bytes(name))
    return found


cdef class Miner:
    cdef hx_miner *ptr
    cdef object lock

    def __cinit__(self, uint32_t max_templates=0, uint32_t max_tokens=0, uint64_t max_memory_bytes=0):
        cdef hx_miner_config config
        cdef hx_error err
        config.max_templates = max_templates
        config.max_tokens = max_tokens
        config.max_memory_bytes = max_memory_bytes
        err.text[0] = 0
        check(hx_miner_create(&config, &self.ptr, &err), &err)
        self.lock = threading.Lock()

    def __dealloc__(self):
        hx_miner_destroy(self.ptr)

    def learn(self, const uint8_t[::1] messages not None):
        cdef const char *at = start(messages)
        cdef const char *end = at + messages.shape[0]
        cdef hx_slice line
        cdef int64_t learned = 0
        cdef int rc = 0
        with self.lock:
            with nogil:
                while rc == 0 and next_line(&at, end, &line):
                    rc = hx_miner_learn(self.ptr, line)
                    learned += rc == 0
        check(rc, NULL)
        return learned

    def learn_log(self, const uint8_t[::1] data not None, str format_spec not None):
        cdef Format format = Format(format_spec)
        cdef const char *at = start(data)
        cdef const char *end = at + data.shape[0]
        cdef hx_format_scratch scratch
        cdef hx_record record
        cdef hx_slice line
        cdef int64_t learned = 0, malformed = 0
        cdef int rc = 0
        memset(&scratch, 0, sizeof(scratch))
        scratch.now_us = now_us()
        with self.lock:
            with nogil:
                while rc == 0 and next_line(&at, end, &line):
                    cut_return(&line)
                    if line.len == 0:
                        continue
                    if hx_format_parse(format.ptr, line, &scratch, &record) < 0:
                        malformed += 1
                        continue
                    rc = hx_miner_learn(self.ptr, record.message)
                    learned += rc == 0
        check(rc, NULL)
        return learned, malformed

    def finish(self):
        cdef hx_error err
        cdef char *json = NULL
        cdef size_t json_len = 0
        cdef int rc = 0
        err.text[0] = 0
        with self.lock:
            with nogil:
                rc = hx_miner_finish(self.ptr, &json, &json_len, &err)
        check(rc, &err)
        try:
            return json[:json_len]
        finally:
            free(json)


cdef class Matcher:
    cdef hx_matcher *ptr

    def __cinit__(self, const uint8_t[::1] templates not None):
        cdef hx_error err
        err.text[0] = 0
        check(hx_matcher_create(start(templates), templates.shape[0], &self.ptr, &err), &err)

    def __dealloc__(self):
        hx_matcher_destroy(self.ptr)

    def __len__(self):
        return hx_matcher_count(self.ptr)

    def text(self, uint32_t log_key):
        cdef const char *text = hx_matcher_text(self.ptr, log_key)
        if text == NULL:
            raise IndexError(f"log key {log_key} is not below {len(self)}")
        return text.decode("utf-8", "replace")

    def match(self, const uint8_t[::1] messages not None):
        cdef const char *at = start(messages)
        cdef const char *end = at + messages.shape[0]
        cdef Py_ssize_t n = count_lines(at, end), i = 0
        # A scratch of its own for each call: two threads may match at once.
        cdef hx_match_scratch *scratch = NULL
        cdef hx_slice line
        keys = np.empty(n, dtype=np.uint32)
        cdef uint32_t[::1] out = keys
        check(hx_match_scratch_create(self.ptr, &scratch), NULL)
        with nogil:
            while i < n and next_line(&at, end, &line):
                out[i] = hx_matcher_match(self.ptr, scratch, line)
                i += 1
            hx_match_scratch_destroy(scratch)
        return keys


cdef class ValueStudy:
    cdef hx_value_study *ptr
    cdef hx_match_scratch *scratch
    cdef Format format
    cdef Matcher matcher
    cdef object lock

    def __cinit__(self, str format_spec not None, Matcher matcher not None, uint32_t block=1):
        self.format = Format(format_spec)
        self.matcher = matcher
        self.lock = threading.Lock()
        check(hx_value_study_create(matcher.ptr, block, &self.ptr), NULL)
        check(hx_match_scratch_create(matcher.ptr, &self.scratch), NULL)

    def __dealloc__(self):
        hx_value_study_destroy(self.ptr)
        hx_match_scratch_destroy(self.scratch)

    def learn_log(self, const uint8_t[::1] data not None):
        cdef const char *at = start(data)
        cdef const char *end = at + data.shape[0]
        cdef hx_format_scratch header
        cdef hx_record record
        cdef hx_slice line
        cdef int rc = 0
        memset(&header, 0, sizeof(header))
        header.now_us = now_us()
        with self.lock:
            with nogil:
                while rc == 0 and next_line(&at, end, &line):
                    cut_return(&line)
                    if line.len == 0 or hx_format_parse(self.format.ptr, line, &header, &record) < 0:
                        continue
                    rc = hx_value_study_learn(self.ptr, record.message,
                                              hx_matcher_match(self.matcher.ptr, self.scratch, record.message))
        check(rc, NULL)

    def finish(self):
        cdef hx_text json
        cdef int rc = 0
        memset(&json, 0, sizeof(json))
        with self.lock:
            with nogil:
                rc = hx_value_study_finish(self.ptr, &json)
        try:
            check(rc, NULL)
            return json.ptr[:json.len]
        finally:
            hx_text_free(&json)


cdef class ValueChecks:
    cdef hx_values *ptr
    cdef hx_match_scratch *scratch
    cdef Format format
    cdef Matcher matcher
    cdef object lock

    def __cinit__(self, str format_spec not None, Matcher matcher not None, const uint8_t[::1] checks not None):
        cdef hx_error err
        err.text[0] = 0
        self.format = Format(format_spec)
        self.matcher = matcher
        self.lock = threading.Lock()
        check(hx_values_create(start(checks), checks.shape[0], matcher.ptr, &self.ptr, &err), &err)
        check(hx_match_scratch_create(matcher.ptr, &self.scratch), NULL)
        check(hx_match_scratch_watch(self.scratch, self.ptr), NULL)

    def __dealloc__(self):
        hx_match_scratch_destroy(self.scratch)
        hx_values_destroy(self.ptr)

    def judge_log(self, const uint8_t[::1] data not None, bint one_by_one=False):
        cdef const char *at = start(data)
        cdef const char *end = at + data.shape[0]
        cdef Py_ssize_t n = count_lines(at, end), i = 0
        cdef hx_format_scratch header
        cdef hx_record record
        cdef hx_slice line
        cdef uint32_t key
        cdef uint16_t odd
        verdicts = np.zeros(n, dtype=np.uint16)
        cdef uint16_t[::1] out = verdicts
        memset(&header, 0, sizeof(header))
        header.now_us = now_us()
        with self.lock:
            with nogil:
                while i < n and next_line(&at, end, &line):
                    cut_return(&line)
                    if line.len and hx_format_parse(self.format.ptr, line, &header, &record) >= 0:
                        key = hx_matcher_judge_at(self.matcher.ptr, self.scratch, record.message,
                                                  hx_matcher_look(self.scratch, record.message), &odd)
                        if one_by_one:
                            odd = <uint16_t>hx_values_judge(self.ptr, self.scratch, record.message, key)
                        out[i] = odd
                    i += 1
        return verdicts


cdef struct event_room:
    hx_event *events
    uint32_t capacity


cdef int event_room_reserve(event_room *room, uint32_t capacity) noexcept nogil:
    cdef void *grown
    if capacity <= room.capacity:
        return 0
    grown = realloc(room.events, capacity * sizeof(hx_event))
    if grown == NULL:
        return HX_ENOMEM
    room.events = <hx_event *>grown
    room.capacity = capacity
    return 0


cdef struct columns:
    size_t n
    size_t capacity
    int64_t *line
    uint32_t *key
    uint64_t *session
    int64_t *time_us
    uint8_t *first


cdef int columns_reserve(columns *c, size_t more) noexcept nogil:
    """Room for more events; HX_ENOMEM leaves what is there as it was."""
    cdef size_t capacity = max(c.capacity, <size_t>1024)
    cdef void *grown
    if c.n + more <= c.capacity:
        return 0
    while capacity < c.n + more:
        capacity *= 2
    grown = realloc(c.line, capacity * sizeof(int64_t))
    if grown == NULL:
        return HX_ENOMEM
    c.line = <int64_t *>grown
    grown = realloc(c.key, capacity * sizeof(uint32_t))
    if grown == NULL:
        return HX_ENOMEM
    c.key = <uint32_t *>grown
    grown = realloc(c.session, capacity * sizeof(uint64_t))
    if grown == NULL:
        return HX_ENOMEM
    c.session = <uint64_t *>grown
    grown = realloc(c.time_us, capacity * sizeof(int64_t))
    if grown == NULL:
        return HX_ENOMEM
    c.time_us = <int64_t *>grown
    grown = realloc(c.first, capacity)
    if grown == NULL:
        return HX_ENOMEM
    c.first = <uint8_t *>grown
    c.capacity = capacity
    return 0


cdef void columns_free(columns *c) noexcept nogil:
    free(c.line)
    free(c.key)
    free(c.session)
    free(c.time_us)
    free(c.first)


cdef uint32_t whole_lines(const char *at, const char *end) noexcept nogil:
    """The bytes to hand to the front at once: to the last newline within its bound; 0 where a line
    is longer than that."""
    cdef uint32_t n
    if end - at <= HAECHI_READ_BYTES:
        return <uint32_t>(end - at)
    n = HAECHI_READ_BYTES
    while n and at[n - 1] != 10:
        n -= 1
    return n


cdef int columns_append(columns *c, const hx_event *events, uint32_t n, size_t base) noexcept nogil:
    cdef uint32_t i
    cdef int rc = columns_reserve(c, n)
    if rc < 0:
        return rc
    for i in range(n):
        c.line[c.n + i] = <int64_t>(base + events[i].line)
        c.key[c.n + i] = events[i].key
        c.session[c.n + i] = events[i].session
        c.time_us[c.n + i] = events[i].time_us
        c.first[c.n + i] = events[i].first_of_line
    c.n += n
    return 0


cdef int read_columns(hx_front *front, const char *data, size_t length, int64_t now,
                      event_room *room, columns *c, hx_front_counters *counters) noexcept nogil:
    cdef const char *at = data
    cdef const char *end = data + length
    cdef const char *next = NULL
    cdef hx_slice line
    cdef uint32_t n, window, consumed
    cdef int rc
    while at < end:
        window = whole_lines(at, end)
        if window == 0:
            return HX_EINVAL
        consumed = 0
        n = hx_front_read(front, at, window, now, room.events, room.capacity, &consumed, counters)
        rc = columns_append(c, room.events, n, at - data)
        if rc == 0 and consumed == 0:  # the line at hand may make more events than there is room for
            next = at
            next_line(&next, end, &line)
            rc = event_room_reserve(room, hx_front_capacity(line.len))
        if rc < 0:
            return rc
        at += consumed
    return 0


cdef dict columns_to_arrays(columns *c):
    if c.n == 0:
        return {
            "line": np.empty(0, dtype=np.int64),
            "key": np.empty(0, dtype=np.uint32),
            "session": np.empty(0, dtype=np.uint64),
            "time_us": np.empty(0, dtype=np.int64),
            "first_of_line": np.empty(0, dtype=np.bool_),
        }
    return {
        "line": np.array(<int64_t[:c.n]>c.line),
        "key": np.array(<uint32_t[:c.n]>c.key),
        "session": np.array(<uint64_t[:c.n]>c.session),
        "time_us": np.array(<int64_t[:c.n]>c.time_us),
        "first_of_line": np.array(<uint8_t[:c.n]>c.first, dtype=np.bool_),
    }


SESSION_BY = {
    "fields": HX_SESSION_BY_FIELDS,
    "value": HX_SESSION_BY_VALUE,
    "time": HX_SESSION_BY_TIME,
    "all": HX_SESSION_BY_ALL,
}
SESSION_FIELDS = {
    "host": HX_FIELD_HOST,
    "process": HX_FIELD_PROCESS,
    "pid": HX_FIELD_PID,
    "thread": HX_FIELD_THREAD,
}


cdef int rule_fill(hx_session_rule *rule, str by, fields, str prefix, uint32_t seconds) except -1:
    memset(rule, 0, sizeof(hx_session_rule))
    if by not in SESSION_BY:
        raise CoreError(f"session by {by!r} is none of {', '.join(SESSION_BY)}", HX_EINVAL)
    rule.by = <hx_session_by><int>SESSION_BY[by]
    for field in fields:
        if field not in SESSION_FIELDS:
            raise CoreError(f"session field {field!r} is none of {', '.join(SESSION_FIELDS)}", HX_EINVAL)
        rule.fields |= <uint32_t>SESSION_FIELDS[field]
    text = prefix.encode()
    if len(text) >= sizeof(rule.prefix) or b"\0" in text:
        raise CoreError(f"session prefix {prefix!r} is not at most {sizeof(rule.prefix) - 1} bytes", HX_EINVAL)
    for i, byte in enumerate(text):
        rule.prefix[<int>i] = <char><uint8_t>byte
    rule.seconds = seconds
    return 0


cdef class Front:
    cdef hx_front *ptr
    cdef event_room room
    cdef Format format  # borrowed by the C front, so it must live as long
    cdef Matcher matcher  # likewise
    cdef object lock

    def __cinit__(self, str format_spec not None, Matcher matcher not None, *, str by not None, fields,
                  str prefix="", uint32_t seconds=0):
        cdef hx_session_rule rule
        cdef hx_error err
        cdef hx_format *format = NULL
        err.text[0] = 0
        rule_fill(&rule, by, fields, prefix, seconds)
        self.matcher = matcher
        self.lock = threading.Lock()
        if format_spec.encode() != HX_FRONT_KEYS:
            self.format = Format(format_spec)
            format = self.format.ptr
        check(event_room_reserve(&self.room, 4096), NULL)
        check(hx_front_create(format, matcher.ptr, &rule, &self.ptr, &err), &err)

    def __dealloc__(self):
        hx_front_destroy(self.ptr)
        free(self.room.events)

    def read(self, const uint8_t[::1] data not None):
        cdef const char *bytes_ = start(data)
        cdef size_t length = data.shape[0]
        cdef hx_front_counters counters
        cdef columns c
        cdef int64_t now = now_us()
        cdef int rc = 0
        memset(&counters, 0, sizeof(counters))
        memset(&c, 0, sizeof(c))
        try:
            with self.lock:
                with nogil:
                    rc = read_columns(self.ptr, bytes_, length, now, &self.room, &c, &counters)
            if rc == HX_EINVAL:
                raise CoreError("a line is longer than 1 GiB", HX_EINVAL)
            check(rc, NULL)
            events = columns_to_arrays(&c)
        finally:
            columns_free(&c)
        events["lines"] = counters.lines
        events["malformed"] = counters.malformed
        events["unseen"] = counters.unseen
        return events

    def session_name(self, const uint8_t[::1] data not None, Py_ssize_t line):
        cdef const char *at = start(data)
        cdef const char *end = at + data.shape[0]
        cdef hx_front_counters counters
        cdef hx_slice text
        cdef uint32_t n, consumed = 0
        if not 0 <= line < data.shape[0]:
            raise IndexError(f"line offset {line} is not within the {data.shape[0]} bytes of data")
        at += line
        next_line(&at, end, &text)
        memset(&counters, 0, sizeof(counters))
        with self.lock:
            check(event_room_reserve(&self.room, hx_front_capacity(text.len)), NULL)
            n = hx_front_read(self.ptr, text.ptr, text.len, now_us(), self.room.events, self.room.capacity,
                              &consumed, &counters)
            if n == 0:
                raise CoreError(f"the line at offset {line} makes no event", HX_EINVAL)
            return self.room.events[0].name[:self.room.events[0].name_len].decode("utf-8", "replace")
