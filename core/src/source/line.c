#include "line.h"

#include <string.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

static inline bool is_end(char c)
{
    return c == '\n' || c == '\r' || c == '\0';
}

static inline uint32_t length_without_end(const char *message, uint32_t len)
{
    while (len && is_end(message[len - 1]))
        len--;
    return len;
}

static inline void copy_plain(char *out, const char *message, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++)
        out[i] = message[i] == '\n' ? ' ' : message[i];
}

/* The walk over a run, the same for every way to copy: inlined into each of them. What it counts
 * stands in registers: a byte that is copied might, for all the compiler knows, be a count. */
static inline __attribute__((always_inline)) uint32_t
copy_run(char *out, uint32_t room, bool whole, message_run *run, line_counts *counts,
         void (*copy)(char *, const char *, uint32_t))
{
    const char *from = run->data, *end = run->data + run->bytes;
    const uint32_t stride = run->stride;
    uint32_t at = 0, lines = 0, empty = 0;

    while (from < end) {
        uint32_t step = end - from < stride ? (uint32_t)(end - from) : stride;
        uint32_t len = length_without_end(from, step);

        if (len + 1 > room - at) {
            if (at || !whole)
                break;
            len = room - 1;
            counts->truncated++;
        }
        if (len) {
            copy(out + at, from, len);
            at += len;
            out[at++] = '\n';
            lines++;
        } else {
            empty++;
        }
        from += step;
    }
    run->data = from;
    run->bytes = (uint32_t)(end - from);
    counts->lines += lines;
    counts->empty += empty;
    return at;
}

uint32_t lines_copy_plain(char *out, uint32_t room, bool whole, message_run *run,
                          line_counts *counts)
{
    return copy_run(out, room, whole, run, counts, copy_plain);
}

#if defined(__x86_64__)
#define AVX2 __attribute__((target("avx2")))

AVX2 static inline void copy_32(char *out, const char *message)
{
    __m256i v = _mm256_loadu_si256((const __m256i *)(const void *)message);
    __m256i newlines = _mm256_cmpeq_epi8(v, _mm256_set1_epi8('\n'));

    _mm256_storeu_si256((__m256i *)(void *)out,
                        _mm256_blendv_epi8(v, _mm256_set1_epi8(' '), newlines));
}

/* The last block ends with the message and overlaps the one before it: nothing is read behind the
 * message or written behind the line. */
AVX2 static inline void copy_avx2(char *out, const char *message, uint32_t len)
{
    if (len < 32) {
        copy_plain(out, message, len);
        return;
    }
    for (uint32_t at = 0; at < len - 32; at += 32)
        copy_32(out + at, message + at);
    copy_32(out + len - 32, message + len - 32);
}

AVX2 static uint32_t lines_copy_avx2(char *out, uint32_t room, bool whole, message_run *run,
                                     line_counts *counts)
{
    return copy_run(out, room, whole, run, counts, copy_avx2);
}
#endif

lines_copier *lines_copy_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return lines_copy_avx2;
#endif
    return lines_copy_plain;
}
