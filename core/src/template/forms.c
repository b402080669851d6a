#include "forms.h"

#include <haechi/error.h>
#include <haechi/hash.h>
#include <haechi/pages.h>

#define INLINE static inline __attribute__((always_inline))

int hx_forms_init(hx_forms *forms)
{
    _Static_assert(sizeof(hx_form) == 256, "four cache lines");
    forms->items = hx_pages_map(HX_FORMS * sizeof *forms->items);
    return forms->items ? 0 : HX_ENOMEM;
}

void hx_forms_free(hx_forms *forms)
{
    hx_pages_unmap(forms->items, HX_FORMS * sizeof *forms->items);
}

#if defined(__x86_64__)
#include <emmintrin.h>

INLINE __m128i blank_sixteen(const char *from)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)from);
    __m128i from_zero = _mm_sub_epi8(bytes, _mm_set1_epi8('0'));
    __m128i digits = _mm_cmpeq_epi8(_mm_min_epu8(from_zero, _mm_set1_epi8(9)), from_zero);

    return _mm_andnot_si128(_mm_and_si128(digits, _mm_set1_epi8(15)), bytes);
}

void hx_blanked_make(hx_blanked *blanked, hx_slice message)
{
    char short_one[16] = {0};
    char *out = blanked->bytes;

    if (message.len < 16) {
        if (message.len)
            memcpy(short_one, message.ptr, message.len);
        _mm_storeu_si128((__m128i *)(void *)out, blank_sixteen(short_one));
    } else {
        const uint32_t last = message.len - 16;

        for (uint32_t at = 0; at < last; at += 16)
            _mm_storeu_si128((__m128i *)(void *)(out + at), blank_sixteen(message.ptr + at));
        _mm_storeu_si128((__m128i *)(void *)(out + last), blank_sixteen(message.ptr + last));
    }
    memset(out + message.len, 0, HX_BLANKED_ROOM);
}
#else
void hx_blanked_make(hx_blanked *blanked, hx_slice message)
{
    for (uint32_t i = 0; i < message.len; i++)
        blanked->bytes[i] = message.ptr[i] >= '0' && message.ptr[i] <= '9' ? '0' : message.ptr[i];
    memset(blanked->bytes + message.len, 0, HX_BLANKED_ROOM);
}
#endif

bool hx_form_keep_blanked(hx_form_place place, const hx_blanked *message, uint32_t length,
                          uint32_t key)
{
    hx_form *form = place.form;

    _Static_assert(HX_FORM_BYTES % 16 == 0, "whole steps");
    if (form->used) {
        form->used = false;
        return false;
    }
    form->watch = 0;
    form->hash = (uint32_t)place.hash;
    form->note = 0;
    form->length = (uint16_t)length;
    form->key = key;
    for (uint32_t at = 0; at < hx_form_end(length); at += 16)
        memcpy(form->bytes + at, message->bytes + at, 16);
    return true;
}

bool hx_form_keep(hx_form_place place, hx_slice message, uint32_t key)
{
    hx_blanked blanked;

    hx_blanked_make(&blanked, message);
    return hx_form_keep_blanked(place, &blanked, message.len, key);
}

INLINE hx_form_place fetch_place(const hx_forms *forms, uint64_t hash, uint32_t length)
{
    hx_form *form = &forms->items[hash >> 32 & (HX_FORMS - 1)];

    for (uint32_t at = 0; at < offsetof(hx_form, bytes) + length; at += 64)
        __builtin_prefetch((const char *)form + at);
    return (hx_form_place){form, hash | 1};
}

INLINE bool is_named(hx_form_place place, uint32_t length)
{
    return place.form && place.form->hash == (uint32_t)place.hash && place.form->length == length;
}

INLINE uint64_t load_eight(hx_slice message, uint32_t at)
{
    uint64_t eight = 0;

    memcpy(&eight, message.ptr + at, message.len - at < 8 ? message.len - at : 8);
    return hx_blank_eight(eight);
}

static hx_form_place place_plain(const hx_forms *forms, hx_slice message)
{
    uint64_t hash = HX_HASH_SEED ^ message.len;

    if (message.len > HX_FORM_BYTES)
        return (hx_form_place){NULL, 1};
    for (uint32_t at = 0; at < message.len; at += 8)
        hash = hx_hash_u64(hash, load_eight(message, at));
    return fetch_place(forms, hash, message.len);
}

static bool holds_plain(hx_form_place place, hx_slice message)
{
    uint64_t differ = 0, eight;

    if (!is_named(place, message.len))
        return false;
    for (uint32_t at = 0; at < message.len; at += 8) {
        memcpy(&eight, place.form->bytes + at, 8);
        differ |= eight ^ load_eight(message, at);
    }
    return !differ;
}

const hx_forms_way hx_forms_way_plain = {place_plain, holds_plain};

#if defined(__x86_64__)
#include <immintrin.h>

#define AVX2 __attribute__((target("avx2")))

/* Any numbers will do: a step of 32 bytes takes those from its number on. */
#define LONG_STEPS ((HX_FORM_BYTES + 31) / 32)

static const uint64_t keys[4 + LONG_STEPS] = {
    UINT64_C(0xa0761d6478bd642f), UINT64_C(0xe7037ed1a0b428db), UINT64_C(0x8ebc6af09c88c6e3),
    UINT64_C(0x589965cc75374cc3), UINT64_C(0x1d8e4e27c47d124f), UINT64_C(0xeb44accab455d165),
    UINT64_C(0x72be1579d96e4b5d), UINT64_C(0x4cf5ad432745937f), UINT64_C(0x9c06faf4d023e3ab),
    UINT64_C(0x2f9d3b7c51e8a64d), UINT64_C(0xd1b54a32d192ed03), UINT64_C(0x6c8e9cf570932bd5),
};

/* 32 bytes of the message, digits made zeros. The last steps go back so far that they end with it.
 */
AVX2 INLINE __m256i load_blanked(hx_slice message, uint32_t step)
{
    uint32_t at = step * 32 < message.len - 32 ? step * 32 : message.len - 32;
    __m256i bytes = _mm256_loadu_si256((const __m256i *)(const void *)(message.ptr + at));
    __m256i from_zero = _mm256_sub_epi8(bytes, _mm256_set1_epi8('0'));
    __m256i digits = _mm256_cmpeq_epi8(_mm256_min_epu8(from_zero, _mm256_set1_epi8(9)), from_zero);

    return _mm256_andnot_si256(_mm256_and_si256(digits, _mm256_set1_epi8(15)), bytes);
}

/* length: what the message had before it was padded. */
AVX2 INLINE hx_form_place place_steps(const hx_forms *forms, hx_slice message, uint32_t length,
                                      uint32_t steps)
{
    __m256i sum = _mm256_setzero_si256();
    __m128i half;

#pragma GCC unroll 8
    for (uint32_t i = 0; i < steps; i++) {
        __m256i mixed =
            _mm256_xor_si256(load_blanked(message, i),
                             _mm256_loadu_si256((const __m256i *)(const void *)(keys + i)));

        sum = _mm256_add_epi64(sum, _mm256_mul_epu32(mixed, _mm256_srli_epi64(mixed, 32)));
    }
    half = _mm_add_epi64(_mm256_castsi256_si128(sum), _mm256_extracti128_si256(sum, 1));
    return fetch_place(forms,
                       hx_hash_mix((uint64_t)_mm_cvtsi128_si64(half) ^ length,
                                   (uint64_t)_mm_extract_epi64(half, 1) ^ HX_HASH_SEED),
                       length);
}

AVX2 INLINE bool holds_steps(const hx_form *form, hx_slice message, uint32_t steps)
{
    __m256i differ = _mm256_setzero_si256();

#pragma GCC unroll 8
    for (uint32_t i = 0; i < steps; i++) {
        uint32_t at = i * 32 < message.len - 32 ? i * 32 : message.len - 32;
        __m256i have = _mm256_loadu_si256((const __m256i *)(const void *)(form->bytes + at));

        differ = _mm256_or_si256(differ, _mm256_xor_si256(load_blanked(message, i), have));
    }
    return _mm256_testz_si256(differ, differ);
}

INLINE hx_slice pad(hx_slice message, char padded[static 32])
{
    memset(padded, 0, 32);
    if (message.len)
        memcpy(padded, message.ptr, message.len);
    return hx_slice_make(padded, 32);
}

AVX2 static __attribute__((noinline)) hx_form_place place_short(const hx_forms *forms,
                                                                hx_slice message)
{
    char padded[32];

    return place_steps(forms, pad(message, padded), message.len, 1);
}

AVX2 static __attribute__((noinline)) bool holds_short(hx_form_place place, hx_slice message)
{
    char padded[32];

    return holds_steps(place.form, pad(message, padded), 1);
}

/* Most messages take the same way, without a loop whose length depends on them. */
AVX2 static hx_form_place place_avx2(const hx_forms *forms, hx_slice message)
{
    if (message.len < 32)
        return place_short(forms, message);
    if (message.len <= 128)
        return place_steps(forms, message, message.len, 4);
    if (message.len <= HX_FORM_BYTES)
        return place_steps(forms, message, message.len, LONG_STEPS);
    return (hx_form_place){NULL, 1};
}

AVX2 static bool holds_avx2(hx_form_place place, hx_slice message)
{
    if (!is_named(place, message.len))
        return false;
    if (message.len < 32)
        return holds_short(place, message);
    return holds_steps(place.form, message, message.len <= 128 ? 4 : LONG_STEPS);
}
#endif

hx_forms_way hx_forms_way_best(void)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx2"))
        return (hx_forms_way){place_avx2, holds_avx2};
#endif
    return hx_forms_way_plain;
}
