#include "rules/needs.h"

#include <string.h>

static void begin_level(hx_need_level *level)
{
    for (int kind = 0; kind < HX_NEEDS; kind++)
        level->branch[kind].count = level->before[kind].count = 0;
    level->first = true;
}

void hx_needs_begin(hx_needs *needs)
{
    needs->end = needs->run = needs->text_run = needs->depth = 0;
    needs->run_kind = HX_NEED_WORD;
    begin_level(&needs->levels[0]);
}

/* Long enough to be rare in texts; then fewer of them are better than longer ones. */
#define LONG 4

static bool is_better(const hx_need_set *a, const hx_need_set *b)
{
    const bool long_a = a->least >= LONG, long_b = b->least >= LONG;

    if (!b->count || !a->count)
        return a->count > 0;
    if (long_a != long_b)
        return long_a;
    if (long_a && a->count != b->count)
        return a->count < b->count;
    return a->least != b->least ? a->least > b->least : a->count < b->count;
}

static void offer(hx_needs *needs, hx_need kind, const hx_need_set *set)
{
    hx_need_set *have = &needs->levels[needs->depth].branch[kind];

    if (is_better(set, have))
        *have = *set;
}

/* What has been read from begin on. */
static void offer_run(hx_needs *needs, hx_need kind, uint32_t begin)
{
    const uint32_t length = needs->end - begin;
    hx_need_set one;

    if (!length)
        return;
    one.count = 1;
    one.least = length;
    one.any[0].at = (uint16_t)begin;
    one.any[0].length = (uint16_t)length;
    offer(needs, kind, &one);
}

void hx_needs_break(hx_needs *needs)
{
    offer_run(needs, needs->run_kind, needs->run);
    offer_run(needs, HX_NEED_TEXT, needs->text_run);
    needs->run = needs->text_run = needs->end;
}

void hx_needs_byte(hx_needs *needs, unsigned char byte)
{
    const hx_need kind = byte >= '0' && byte <= '9' ? HX_NEED_NUMBER : HX_NEED_WORD;

    if (kind != needs->run_kind) {
        offer_run(needs, needs->run_kind, needs->run);
        needs->run = needs->end;
        needs->run_kind = kind;
    }
    /* Without room the run is known as far as it goes: what begins a needed text is needed too. */
    if (needs->end < HX_NEEDS_BYTES)
        needs->bytes[needs->end++] = (char)byte;
}

/* Either what one set has or what the other has. */
static void join(hx_need_set *set, const hx_need_set *other)
{
    if (!set->count || !other->count || set->count + other->count > HX_NEEDS_ANY) {
        set->count = 0;
        return;
    }
    memcpy(set->any + set->count, other->any, other->count * sizeof *other->any);
    set->count += other->count;
    set->least = set->least < other->least ? set->least : other->least;
}

void hx_needs_alternative(hx_needs *needs)
{
    hx_need_level *level = &needs->levels[needs->depth];

    hx_needs_break(needs);
    for (int kind = 0; kind < HX_NEEDS; kind++) {
        if (level->first)
            level->before[kind] = level->branch[kind];
        else
            join(&level->before[kind], &level->branch[kind]);
        level->branch[kind].count = 0;
    }
    level->first = false;
}

void hx_needs_open(hx_needs *needs)
{
    hx_needs_break(needs);
    begin_level(&needs->levels[++needs->depth]);
}

void hx_needs_close(hx_needs *needs, bool optional)
{
    const hx_need_level *closed = &needs->levels[needs->depth];

    hx_needs_alternative(needs);
    needs->depth--;
    for (int kind = 0; kind < HX_NEEDS && !optional; kind++)
        offer(needs, (hx_need)kind, &closed->before[kind]);
}

void hx_needs_end(hx_needs *needs)
{
    hx_needs_alternative(needs);
}

void hx_needs_write(const hx_needs *needs, const hx_need_set *set, hx_text *out)
{
    for (uint32_t i = 0; i < set->count; i++) {
        if (i)
            hx_text_str(out, "|");
        for (uint32_t b = 0; b < set->any[i].length; b++)
            hx_text_printf(out, "\\x%02x", (unsigned char)needs->bytes[set->any[i].at + b]);
    }
}
