/* Compose: an event is a slot drawn at random, none twice in a turn, and a line is copies of what
 * was rendered before. A copy is of whole blocks into room that is kept for it, since a length
 * known only at run time costs a branch that cannot be foretold; that is where the time would go.
 */
#include "storm/number.h"
#include "storm/slots.h"
#include "storm/stamp.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    /* Slots are drawn this many events before their use, and fetched; half as many before, what the
     * slot's next text is made of. */
    AHEAD = 8,
};
static const uint64_t NS_TIMES_MILLI = UINT64_C(1000000000000);

/* An anomalous session under way, beside its slot. */
typedef struct open_episode {
    int64_t first_time_ns, last_time_ns;
    uint64_t first_event, last_event;
    uint32_t events; /* 0: none is open */
} open_episode;

struct hx_composer {
    uint64_t random;
    uint64_t sequence, sequence_step;
    /* time_ns + time_part / time_base is exact; both advance by one event's share */
    int64_t time_ns, step_ns;
    uint64_t time_part, step_part, time_base;
    hx_stamp stamp;
    const storm_text *texts;
    const storm_piece *pieces;
    const char *literals;
    uint32_t first_mutant;
    storm_lane *lane;      /* whose turn it is */
    uint32_t lane_first;   /* the number of its first slot */
    uint32_t ahead[AHEAD]; /* slots of the events to come, a ring */
    uint32_t ahead_at;
    /* The lane's slots by number, those that are still to be drawn in this turn first. Any order
     * will do to begin with, so the lanes share it. */
    uint16_t *order;
    uint32_t *order_wide; /* instead, where the numbers need more than 16 bits */
    uint32_t turn_left;   /* how many are still to be drawn */
    uint32_t turn_end;    /* a new turn begins by itself when so many are left */
    uint32_t slot;        /* of the event composed last */
    int64_t last_time_ns; /* of the event composed last */
    storm_slots live;
    open_episode *open; /* one a slot */
    hx_composer_config config;
};

int hx_line_form_parse(const char *name, hx_line_form *out)
{
    static const char *const names[] = {"iso", "rfc3164", "rfc5424"};

    for (uint32_t i = 0; i < 3; i++) {
        if (strcmp(names[i], name) == 0) {
            *out = (hx_line_form)i;
            return 0;
        }
    }
    return HX_ENOTFOUND;
}

int hx_anomaly_kinds_parse(const char *names, uint32_t *out)
{
    static const struct {
        const char *name;
        uint32_t bits;
    } known[] = {
        {"step_skipped", HX_ANOMALY_STEP_SKIPPED},
        {"steps_out_of_order", HX_ANOMALY_STEPS_OUT_OF_ORDER},
        {"failure_repeated", HX_ANOMALY_FAILURE_REPEATED},
        {"never_seen_message", HX_ANOMALY_NEVER_SEEN_MESSAGE},
        {"value_out_of_range", HX_ANOMALY_VALUE_OUT_OF_RANGE},
        {"message_burst", HX_ANOMALY_MESSAGE_BURST},
        {"host_silence", HX_ANOMALY_HOST_SILENCE},
        {"sessions", HX_ANOMALY_OF_SESSIONS},
        {"all", HX_ANOMALY_ALL},
    };
    uint32_t bits = 0;

    for (const char *name = names;; name++) {
        size_t len = strcspn(name, ","), i = 0, count = sizeof known / sizeof *known;
        while (i < count && (strlen(known[i].name) != len || memcmp(known[i].name, name, len) != 0))
            i++;
        if (i == count)
            return HX_ENOTFOUND;
        bits |= known[i].bits;
        name += len;
        if (!*name)
            break;
    }
    *out = bits;
    return 0;
}

/* --- making ------------------------------------------------------------------------------------
 */

static int config_check(const hx_composer_config *c, uint32_t workers, hx_error *err)
{
    if (c->form > HX_LINE_RFC5424)
        return hx_error_set(err, HX_EINVAL, "form: %d is none that is known", (int)c->form);
    if (c->eps_milli < 1 || c->eps_milli > NS_TIMES_MILLI)
        return hx_error_set(err, HX_EINVAL, "eps: not from 0.001 to 1000000000");
    if (c->start_ns < 0)
        return hx_error_set(err, HX_EINVAL, "start: before 1970");
    if (!(c->anomaly_rate >= 0 && c->anomaly_rate <= 1))
        return hx_error_set(err, HX_EINVAL, "anomaly_rate: %g is not from 0 to 1", c->anomaly_rate);
    if (c->worker >= workers)
        return hx_error_set(err, HX_EINVAL, "worker: %u is not below %u", c->worker, workers);
    if (workers > c->profile->host_count)
        return hx_error_set(err, HX_EINVAL, "workers: %u, but the profile has only %u hosts",
                            workers, c->profile->host_count);
    if (c->lanes > c->profile->host_count / workers)
        return hx_error_set(err, HX_EINVAL,
                            "lanes: %u for each of %u workers, but the profile has only %u hosts, "
                            "and each lane needs one of its own",
                            c->lanes, workers, c->profile->host_count);
    return 0;
}

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

static int order_create(hx_composer *c)
{
    uint32_t count = c->live.slot_count;

    if (count > UINT16_MAX + 1u)
        c->order_wide = calloc(count, sizeof *c->order_wide);
    else
        c->order = calloc(count, sizeof *c->order);
    if (!c->order && !c->order_wide)
        return HX_ENOMEM;
    for (uint32_t i = 0; i < count; i++) {
        if (c->order_wide)
            c->order_wide[i] = i;
        else
            c->order[i] = (uint16_t)i;
    }
    return 0;
}

static void turn_start(hx_composer *c, uint32_t lane)
{
    c->lane = &c->live.lanes[lane];
    c->lane_first = lane * c->live.slot_count;
    c->turn_left = c->live.slot_count;
    for (uint32_t i = 0; i < AHEAD; i++) {
        c->ahead[i] = slot_draw(c);
        __builtin_prefetch(&c->lane->slots[c->ahead[i]], 1);
    }
    c->ahead_at = 0;
}

void hx_composer_turn(hx_composer *c, uint32_t lane)
{
    c->turn_end = 0;
    turn_start(c, lane < c->live.lane_count ? lane : 0);
}

uint32_t hx_composer_sessions(const hx_composer *c)
{
    return c->live.lane_count * c->live.slot_count;
}

/* --- making ------------------------------------------------------------------------------------
 */

/* The time of event `sequence`, and from there on in steps of `every` events. */
static void clock_start(hx_composer *c, int64_t start_ns, uint64_t eps_milli, uint64_t sequence,
                        uint64_t every)
{
    unsigned __int128 offset = (unsigned __int128)sequence * NS_TIMES_MILLI;
    unsigned __int128 step = (unsigned __int128)every * NS_TIMES_MILLI;

    c->time_base = eps_milli;
    c->time_ns = start_ns + (int64_t)(offset / eps_milli);
    c->time_part = (uint64_t)(offset % eps_milli);
    c->step_ns = (int64_t)(step / eps_milli);
    c->step_part = (uint64_t)(step % eps_milli);
}

int hx_composer_create(const hx_composer_config *config, hx_composer **out, hx_error *err)
{
    const hx_profile *p = config->profile;
    uint32_t workers = config->workers ? config->workers : 1;
    int rc = config_check(config, workers, err);
    hx_composer *c;

    if (rc)
        return rc;
    c = calloc(1, sizeof *c);
    if (!c)
        return hx_error_set(err, HX_ENOMEM, "composer: out of memory");
    uint32_t layout = config->form == HX_LINE_RFC5424;
    uint64_t seed = hx_hash_u64(hx_hash_u64(HX_HASH_SEED, config->seed), config->worker);
    uint32_t host_first = (uint32_t)((uint64_t)p->host_count * config->worker / workers);
    uint32_t host_end = (uint32_t)((uint64_t)p->host_count * (config->worker + 1) / workers);
    c->config = *config;
    c->random = hx_hash_u64(seed, 1);
    c->sequence = config->worker;
    c->sequence_step = workers;
    c->texts = p->texts[layout];
    c->pieces = p->pieces;
    c->literals = p->literals;
    c->first_mutant = p->normal_count;
    clock_start(c, config->start_ns, config->eps_milli, config->worker, workers);
    hx_stamp_start(&c->stamp, config->form, config->start_ns);
    c->last_time_ns = config->start_ns;
    rc = hx_slots_create(&c->live, config, host_first, host_end - host_first, hx_hash_u64(seed, 2));
    if (!rc)
        rc = order_create(c);
    if (!rc) {
        c->open = calloc(hx_composer_sessions(c), sizeof *c->open);
        rc = c->open ? 0 : HX_ENOMEM;
    }
    if (rc) {
        hx_composer_destroy(c);
        return hx_error_set(err, rc, "composer: %s", hx_strerror(rc));
    }
    /* Sessions that all speak in every turn would keep step with each other for ever. */
    c->turn_end = config->lanes ? 0 : c->live.slot_count / 2;
    turn_start(c, 0);
    *out = c;
    return 0;
}

void hx_composer_destroy(hx_composer *c)
{
    if (!c)
        return;
    hx_slots_destroy(&c->live);
    free(c->open);
    free(c->order);
    free(c->order_wide);
    free(c);
}

int64_t hx_composer_time(const hx_composer *c)
{
    return c->time_ns;
}

int hx_composer_pace(hx_composer *c, int64_t time_ns, uint64_t eps_milli)
{
    if (time_ns < c->last_time_ns || eps_milli < 1 || eps_milli > NS_TIMES_MILLI)
        return HX_EINVAL;
    clock_start(c, time_ns, eps_milli, 0, 1);
    return 0;
}

/* --- episodes ----------------------------------------------------------------------------------
 */

static void episode_report(hx_composer *c, uint32_t slot, bool complete)
{
    static const char *const kinds[STORM_KINDS] = {
        [STORM_NORMAL] = "normal",
        [STORM_SKIPPED] = "step_skipped",
        [STORM_REORDERED] = "steps_out_of_order",
        [STORM_REPEATED] = "failure_repeated",
        [STORM_NEVER_SEEN] = "never_seen_message",
    };
    const storm_slot *of = &c->live.slots[slot];
    const storm_flow *flow = &c->config.profile->flows[of->flow];
    open_episode *open = &c->open[slot];
    hx_episode e = {
        .kind = kinds[flow->kind],
        .technique = flow->technique[0] ? flow->technique : NULL,
        .first_time_ns = open->first_time_ns,
        .last_time_ns = open->last_time_ns,
        .first_event = open->first_event,
        .last_event = open->last_event,
        .events = open->events,
        .complete = complete,
    };

    open->events = 0;
    if (!c->config.on_episode)
        return;
    uint64_t id = hx_hash_u64(hx_hash_u64(HX_HASH_SEED, c->config.seed), e.first_event);
    snprintf(e.id, sizeof e.id, "%016llx", (unsigned long long)id);
    hx_slots_session_name(&c->live, of, e.session, sizeof e.session);
    memcpy(e.host, c->live.hosts[of->host].name, sizeof e.host - 1);
    c->config.on_episode(c->config.context, &e);
}

static __attribute__((noinline)) void episode_event(hx_composer *c, uint32_t slot, bool last)
{
    open_episode *open = &c->open[slot];

    if (open->events++ == 0) {
        open->first_event = c->sequence;
        open->first_time_ns = c->time_ns;
    }
    open->last_event = c->sequence;
    open->last_time_ns = c->time_ns;
    if (last)
        episode_report(c, slot, true);
}

void hx_composer_finish(hx_composer *c)
{
    for (uint32_t i = 0; i < hx_composer_sessions(c); i++)
        if (c->open[i].events)
            episode_report(c, i, false);
}

/* --- composing ---------------------------------------------------------------------------------
 */

/* Copies at least len bytes, 32 at once: more than nearly all literals between values have. */
static inline void put_literal(char *out, const char *bytes, uint32_t len)
{
    memcpy(out, bytes, 32);
    for (uint32_t i = 32; i < len; i += 32)
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
    uint8_t len = (uint8_t)value[piece->stride - 1];
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

/* The slot of this event. The one that is AHEAD events away is drawn, and fetched. */
static inline uint32_t slot_next(hx_composer *c)
{
    uint32_t at = c->ahead_at++ % AHEAD;
    uint32_t slot = c->ahead[at];
    const storm_text *text = &c->texts[c->lane->slots[c->ahead[(at + AHEAD / 2) % AHEAD]].text];

    c->ahead[at] = slot_draw(c);
    __builtin_prefetch(&c->lane->slots[c->ahead[at]], 1);
    __builtin_prefetch(c->literals + text->start);
    __builtin_prefetch(c->literals + text->start + 64);
    __builtin_prefetch(c->pieces + text->first_piece);
    return slot;
}

static inline uint32_t compose_line(hx_composer *c, char *out)
{
    uint32_t i = slot_next(c);
    storm_slot *slot = &c->lane->slots[i];
    const storm_text *text = &c->texts[slot->text];
    uint32_t pri_len = text->pri_len, head_len = slot->head_len, seed = slot->seed;
    bool last = slot->left == 1;
    char *p = out;

    if (c->time_ns >= c->stamp.until_ns)
        hx_stamp_advance(&c->stamp, c->time_ns);
    uint32_t stamp_len = c->stamp.length;
    memcpy(p, text->pri, sizeof text->pri);
    p += pri_len;
    memcpy(p, c->stamp.text, sizeof c->stamp.text);
    p += stamp_len;
    memcpy(p, slot, 48);
    p = put_text(c, p + head_len, text, seed);
    if (slot->flow >= c->first_mutant)
        episode_event(c, c->lane_first + i, last);
    if (last) {
        hx_slots_start(&c->live, c->lane, i);
    } else {
        slot->left--;
        slot->cursor++;
        hx_slot_arm(&c->live, slot);
    }
    c->slot = c->lane_first + i;
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
