/* Compose: an event is a slot drawn at random, none twice in a turn, and a line is copies of what
 * was rendered before. A copy is of whole blocks into room that is kept for it, since a length
 * known only at run time costs a branch that cannot be foretold; that is where the time would go.
 */
#include "storm/composer.h"
#include "storm/number.h"

/* --- turns -------------------------------------------------------------------------------------
 */

/* One of the slots that did not speak in this turn (Fisher and Yates, a step at a time). */
static inline uint32_t slot_draw(hx_composer *c)
{
    uint32_t left = c->turn_left == c->turn_end ? c->live.slot_count : c->turn_left;
    uint32_t k = hx_random_below(hx_random_next(&c->random), left--);
    uint32_t slot;

    c->turn_left = left;
    if (__builtin_expect(c->order_wide != NULL, 0)) {
        slot = c->order_wide[k];
        c->order_wide[k] = c->order_wide[left];
        c->order_wide[left] = slot;
    } else {
        slot = c->order[k];
        c->order[k] = c->order[left];
        c->order[left] = (uint16_t)slot;
    }
    return slot;
}

void hx_storm_turn_start(hx_composer *c, uint32_t lane)
{
    if (c->disturbances)
        hx_storm_disturb_turn(c, lane);
    c->lane = &c->live.lanes[lane];
    c->lane_first = lane * c->live.slot_count;
    c->turn_left = c->live.slot_count;
    for (uint32_t i = 0; i < STORM_AHEAD; i++) {
        c->ahead[i] = slot_draw(c);
        __builtin_prefetch(&c->lane->slots[c->ahead[i]], 1);
    }
    c->ahead_at = 0;
}

void hx_composer_turn(hx_composer *c, uint32_t lane)
{
    c->turn_end = 0;
    hx_storm_turn_start(c, lane < c->live.lane_count ? lane : 0);
}

/* --- composing ---------------------------------------------------------------------------------
 */

/* Copies at least len bytes, 48 at once: more than nearly all literals between values have. */
static inline void put_literal(char *out, const char *bytes, uint32_t len)
{
    memcpy(out, bytes, 48);
    for (uint32_t i = 48; i < len; i += 32)
        memcpy(out + i, bytes + i, 32);
}

/* The same for what follows the last value, which often is the whole message. */
static inline void put_tail(char *out, const char *bytes, uint32_t len)
{
    memcpy(out, bytes, 32);
    if (len <= 32)
        return;
    memcpy(out + 32, bytes + 32, 64);
    for (uint32_t i = 96; i < len; i += 32)
        memcpy(out + i, bytes + i, 32);
}

static inline char *put_value(char *out, const storm_piece *piece, uint64_t draw)
{
    uint32_t i = hx_random_below(draw, piece->count);

    if (!piece->table)
        return hx_number_write(out, piece->base + i);
    const char *value = piece->table + (size_t)i * piece->stride;
    uint8_t len = (uint8_t)piece->table[-1 - (ptrdiff_t)(i & piece->base)];
    memcpy(out, value, 32);
    for (uint32_t k = 32; k < len; k += 32)
        memcpy(out + k, value + k, 32);
    return out + len;
}

/* What is read through c is taken into locals first: out may alias it, for all that the compiler
 * knows, and it would be loaded again after every copy. */
static inline char *put_text(hx_composer *c, char *out, const storm_text *text, uint32_t seed)
{
    const storm_piece *piece = c->pieces + text->first_piece;
    const storm_piece *end = piece + text->piece_count;
    const char *literals = c->literals, *tail = literals + text->tail;
    uint32_t tail_len = text->tail_len;
    uint64_t random = c->random;

    c->random += HX_RANDOM_STRIDE * text->piece_count;
    for (; piece < end; piece++) {
        random += HX_RANDOM_STRIDE;
        uint64_t from = piece->salt ? seed : random;
        uint64_t draw = hx_hash_mix(from ^ piece->salt, UINT64_C(0xe7037ed1a0b428db) ^ from);
        uint32_t literal_len = piece->literal_len;

        put_literal(out, literals + piece->literal, literal_len);
        out = put_value(out + literal_len, piece, draw);
    }
    put_tail(out, tail, tail_len);
    return out + tail_len;
}

/* The slot of this event. The one that is STORM_AHEAD events away is drawn, and fetched. */
static inline uint32_t slot_next(hx_composer *c)
{
    uint32_t at = c->ahead_at++ % STORM_AHEAD;
    uint32_t slot = c->ahead[at];
    const storm_text *text =
        &c->texts[c->lane->slots[c->ahead[(at + STORM_AHEAD / 2) % STORM_AHEAD]].text];

    c->ahead[at] = slot_draw(c);
    __builtin_prefetch(&c->lane->slots[c->ahead[at]], 1);
    __builtin_prefetch(c->literals + text->start);
    __builtin_prefetch(c->pieces + text->first_piece);
    return slot;
}

/* The line of the slot's next step; returns its end. */
static inline char *put_line(hx_composer *c, char *out, const storm_slot *slot)
{
    const storm_text *text = &c->texts[slot->text];
    uint32_t pri_len = text->pri_len, head_len = slot->head_len, seed = slot->seed;
    uint32_t stamp_len = c->stamp.length;
    char *p = out;

    memcpy(p, text->pri, sizeof text->pri);
    p += pri_len;
    memcpy(p, c->stamp.text, sizeof c->stamp.text);
    p += stamp_len;
    memcpy(p, slot, 48);
    return put_text(c, p + head_len, text, seed);
}

static __attribute__((noinline)) void wake(hx_composer *c)
{
    int64_t silence_ns = c->disturbances ? hx_storm_silences_end(c) : INT64_MAX;

    if (c->time_ns >= c->stamp.until_ns)
        hx_stamp_advance(&c->stamp, c->time_ns);
    c->wake_ns = silence_ns < c->stamp.until_ns ? silence_ns : c->stamp.until_ns;
}

static inline uint32_t compose_line(hx_composer *c, char *out)
{
    uint32_t i = slot_next(c);
    storm_slot *slot = &c->lane->slots[i];

    c->slot = c->lane_first + i;
    if (c->time_ns >= c->wake_ns)
        wake(c);
    if (__builtin_expect(c->sequence >= c->alarm, 0)) {
        /* A burst's event takes the place of the slot's, which is passed over in this turn. */
        const storm_slot *other = hx_storm_disturb(c);
        if (other)
            return (uint32_t)(put_line(c, out, other) - out);
    }
    char *p = put_line(c, out, slot);
    bool last = slot->left == 1;
    if (slot->flow >= c->first_mutant)
        hx_storm_episode_event(c, c->slot, last);
    if (!last) {
        slot->left--;
        slot->cursor++;
        hx_slot_arm(&c->live, slot);
    } else if (__builtin_expect(c->lane->absent != 0, 0) && c->marks[c->slot]) {
        hx_storm_slot_refill(c, i);
    } else {
        hx_slots_start(&c->live, c->lane, i);
    }
    return (uint32_t)(p - out);
}

static inline void clock_advance(hx_composer *c)
{
    c->last_time_ns = c->time_ns;
    c->sequence += c->sequence_step;
    c->time_ns += c->step_ns;
    c->time_part += c->step_part;
    uint64_t carry = c->time_part >= c->time_base;
    c->time_part -= carry ? c->time_base : 0;
    c->time_ns += (int64_t)carry;
}

uint32_t hx_composer_next(hx_composer *c, char *out, hx_composed *composed)
{
    uint32_t length = compose_line(c, out);

    if (composed)
        *composed = (hx_composed){length, c->slot, c->sequence, c->time_ns};
    clock_advance(c);
    return length;
}

size_t hx_composer_fill(hx_composer *c, char *out, size_t capacity, uint64_t max_events,
                        uint64_t *events)
{
    char *p = out;
    uint64_t made = 0;

    while (made < max_events && capacity - (size_t)(p - out) >= HX_LINE_ROOM) {
        p += compose_line(c, p);
        *p++ = '\n';
        clock_advance(c);
        made++;
    }
    *events = made;
    return (size_t)(p - out);
}
