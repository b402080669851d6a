/* Variables: every value is rendered when the profile is read, so that writing one is a copy. Only
 * wide ranges of numbers are rendered as they are drawn: their tables would not stay in the cache.
 */
#include "storm/model.h"
#include "storm/random.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    TABLE_NUMBERS_MAX = 1024, /* 8 KiB at eight bytes each */
    CHUNK_BYTES = 32,         /* of random characters: one copy */
    CHUNKS = 512,
};

/* The lengths stand before the entries, the last one first, so that they are close together: what
 * is written behind a value waits for its length, but not for the value. */
static int table_make(storm_part *part, uint32_t count, uint32_t max_len)
{
    size_t lengths = (count + 63u) & ~63u;
    uint32_t stride = 4;

    while (stride < max_len)
        stride *= 2;
    part->memory = calloc(1, lengths + (size_t)count * stride + STORM_SLACK + 128);
    if (!part->memory)
        return HX_ENOMEM;
    part->table = part->memory + lengths;
    part->stride = stride;
    part->count = count;
    return 0;
}

static void table_put(storm_part *part, uint32_t i, const char *value, uint32_t len)
{
    memcpy(part->table + (size_t)i * part->stride, value, len);
    part->table[-1 - (ptrdiff_t)i] = (char)len;
}

static void part_bounds(storm_part *part, uint32_t min_len, uint32_t max_len)
{
    uint32_t prefix_len = (uint32_t)strlen(part->prefix);

    part->min_len = min_len + prefix_len;
    part->max_len = max_len + prefix_len;
    /* Where all are as long, one length serves them all and stays in the cache. */
    if (part->table)
        part->base = min_len == max_len ? 0 : UINT32_MAX;
}

int hx_storm_variable_choice(storm_variable *v, const char *const *values, uint32_t count)
{
    storm_part *part = &v->parts[0];
    uint32_t min_len = UINT32_MAX, max_len = 0;

    for (uint32_t i = 0; i < count; i++) {
        uint32_t len = (uint32_t)strlen(values[i]);
        min_len = len < min_len ? len : min_len;
        max_len = len > max_len ? len : max_len;
    }
    if (table_make(part, count, max_len))
        return HX_ENOMEM;
    for (uint32_t i = 0; i < count; i++)
        table_put(part, i, values[i], (uint32_t)strlen(values[i]));
    part_bounds(part, min_len, max_len);
    v->source = STORM_CHOICE;
    v->part_count = 1;
    return 0;
}

static int part_numbers(storm_part *part, uint32_t low, uint32_t high)
{
    char digits[16];
    uint32_t min_len = (uint32_t)snprintf(digits, sizeof digits, "%u", low);
    uint32_t max_len = (uint32_t)snprintf(digits, sizeof digits, "%u", high);

    part->count = high - low + 1;
    part->base = low;
    if (part->count <= TABLE_NUMBERS_MAX && table_make(part, part->count, max_len))
        return HX_ENOMEM;
    for (uint32_t i = 0; part->table && i < part->count; i++)
        table_put(part, i, digits, (uint32_t)snprintf(digits, sizeof digits, "%u", low + i));
    part_bounds(part, min_len, max_len);
    return 0;
}

int hx_storm_variable_range(storm_variable *v, uint32_t low, uint32_t high)
{
    v->source = STORM_RANGE;
    v->low = low;
    v->high = high;
    v->part_count = 1;
    return part_numbers(&v->parts[0], low, high);
}

int hx_storm_variable_ipv4(storm_variable *v, const uint8_t address[4], uint32_t fixed_octets)
{
    v->source = STORM_IPV4;
    memcpy(v->address, address, sizeof v->address);
    v->fixed_octets = (uint8_t)fixed_octets;
    v->part_count = 4 - fixed_octets;
    for (uint32_t i = 0; i < v->part_count; i++) {
        storm_part *part = &v->parts[i];
        int len = 0;

        if (i > 0)
            len = snprintf(part->prefix, sizeof part->prefix, ".");
        for (uint32_t octet = 0; i == 0 && octet < fixed_octets; octet++)
            len += snprintf(part->prefix + len, sizeof part->prefix - (size_t)len, "%u.",
                            address[octet]);
        /* A host's last octet is neither the network's 0 nor the broadcast's 255. */
        bool last = i + 1 == v->part_count;
        int rc = part_numbers(part, last ? 1 : 0, last ? 254 : 255);
        if (rc)
            return rc;
    }
    return 0;
}

/* Long strings are joined from chunks, drawn from tables of random chunks: at least two, so that
 * even a short one has CHUNKS^2 values. */
int hx_storm_variable_random(storm_variable *v, const char *alphabet, uint32_t length)
{
    uint32_t letters = (uint32_t)strlen(alphabet);
    uint32_t parts = (length + CHUNK_BYTES - 1) / CHUNK_BYTES;
    uint64_t random = hx_hash_bytes(v->name, strlen(v->name), HX_HASH_SEED);

    if (parts < 2 && length > 1)
        parts = 2;
    v->source = STORM_RANDOM;
    v->alphabet = alphabet;
    v->length = length;
    v->part_count = parts;
    for (uint32_t i = 0, done = 0; i < parts; i++) {
        storm_part *part = &v->parts[i];
        uint32_t len = (length - done + (parts - i) - 1) / (parts - i);
        char chunk[CHUNK_BYTES];

        done += len;
        if (table_make(part, CHUNKS, len))
            return HX_ENOMEM;
        part_bounds(part, len, len);
        for (uint32_t k = 0; k < CHUNKS; k++) {
            for (uint32_t c = 0; c < len; c++)
                chunk[c] = alphabet[hx_random_below(hx_random_next(&random), letters)];
            table_put(part, k, chunk, len);
        }
    }
    return 0;
}

void hx_storm_variable_clear(storm_variable *v)
{
    for (uint32_t i = 0; i < STORM_PARTS_MAX; i++) {
        free(v->parts[i].memory);
        v->parts[i] = (storm_part){.memory = NULL};
    }
}

/* --- what normal traffic could say --------------------------------------------------------------
 */

/* A number as hx_number_write writes it, without leading zeros. */
static bool number_parse(const char *text, size_t len, uint32_t *out)
{
    uint32_t value = 0;

    if (len == 0 || len > 8 || (text[0] == '0' && len > 1))
        return false;
    for (size_t i = 0; i < len; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        value = value * 10 + (uint32_t)(text[i] - '0');
    }
    *out = value;
    return true;
}

static bool is_of_network(const storm_variable *v, const char *text)
{
    for (uint32_t i = 0; i < 4; i++) {
        size_t len = strcspn(text, ".");
        uint32_t octet;

        if (!number_parse(text, len, &octet) || octet > 255 ||
            (i < v->fixed_octets && octet != v->address[i]) || (text[len] == '.') != (i < 3))
            return false;
        text += len + 1;
    }
    return true;
}

static const char *choice_at(const storm_variable *v, uint32_t i, size_t *len)
{
    const storm_part *part = &v->parts[0];

    *len = (uint8_t)part->table[-1 - (ptrdiff_t)(i & part->base)];
    return part->table + (size_t)i * part->stride;
}

bool hx_storm_variable_may_be(const storm_variable *v, const char *value)
{
    size_t len = strlen(value), choice_len;
    uint32_t number;

    switch ((storm_source)v->source) {
    case STORM_CHOICE:
        for (uint32_t i = 0; i < v->parts[0].count; i++) {
            const char *choice = choice_at(v, i, &choice_len);
            if (choice_len == len && memcmp(choice, value, len) == 0)
                return true;
        }
        return false;
    case STORM_RANGE:
        return number_parse(value, len, &number) && number >= v->low && number <= v->high;
    case STORM_IPV4:
        return is_of_network(v, value);
    case STORM_RANDOM:
        return len == v->length && strspn(value, v->alphabet) == len;
    }
    return true;
}

bool hx_storm_variable_may_be_of(const storm_variable *v, uint32_t low, uint32_t high)
{
    uint64_t power = 1;
    uint32_t number;
    size_t len;

    switch ((storm_source)v->source) {
    case STORM_CHOICE:
        for (uint32_t i = 0; i < v->parts[0].count; i++) {
            const char *choice = choice_at(v, i, &len);
            if (number_parse(choice, len, &number) && number >= low && number <= high)
                return true;
        }
        return false;
    case STORM_RANGE:
        return low <= v->high && v->low <= high;
    case STORM_IPV4:
        return false;
    case STORM_RANDOM:
        for (uint32_t i = 1; i < v->length && power <= high; i++)
            power *= 10;
        /* Numbers of so many digits, where there is one in the range. */
        return strchr(v->alphabet, '0') && power <= high + (v->length == 1) && low < power * 10;
    }
    return true;
}
