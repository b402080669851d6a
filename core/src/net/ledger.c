#include "ledger.h"

#include <haechi/hash.h>

#include <stdlib.h>
#include <sys/random.h>

enum { NONE = UINT16_MAX, BUCKETS = LEDGER_STREAMS_MAX, RUNS_MAX = 16 };

typedef struct entry {
    uint64_t run, sequence; /* of its latest totals */
    uint64_t events, bytes, controls;
    uint32_t stream;
    uint16_t next;       /* in its bucket */
    uint16_t next_ended; /* in the order in which streams ended */
    bool told, ended;    /* told: totals came */
} entry;

/* A run's reports count from its first control message. */
typedef struct run_start {
    uint64_t run, used;
    ledger_totals before;
} run_start;

typedef struct sums {
    uint64_t events, bytes, controls;
    uint32_t streams;
} sums;

struct ledger {
    uint64_t seed, clock;
    uint32_t count;       /* entries in use; none is freed, those that are folded are used again */
    uint32_t ended_count; /* among them */
    uint16_t oldest_ended, newest_ended;
    uint32_t ignored; /* marks of streams that found no place */
    uint64_t dropped; /* at the last mark */
    sums folded;      /* ended streams that made room */
    run_start runs[RUNS_MAX];
    uint16_t buckets[BUCKETS];
    entry entries[LEDGER_STREAMS_MAX]; /* a page is touched when streams come to lie in it */
};

ledger *ledger_create(void)
{
    ledger *l = calloc(1, sizeof *l);

    if (!l)
        return NULL;
    /* Unknown to a sender, so that none can choose streams that fall into one bucket. */
    if (getrandom(&l->seed, sizeof l->seed, GRND_NONBLOCK) != sizeof l->seed)
        l->seed = HX_HASH_SEED;
    l->oldest_ended = l->newest_ended = NONE;
    memset(l->buckets, 0xff, sizeof l->buckets);
    return l;
}

void ledger_destroy(ledger *l)
{
    free(l);
}

/* Totals are whatever a sender claims; a sum of them must not come out small. */
static void add(uint64_t *sum, uint64_t more)
{
    if (__builtin_add_overflow(*sum, more, sum))
        *sum = UINT64_MAX;
}

static uint16_t *bucket_of(ledger *l, uint64_t run, uint32_t stream)
{
    return &l->buckets[hx_hash_u64(hx_hash_u64(l->seed, run), stream) % BUCKETS];
}

static entry *find(ledger *l, uint64_t run, uint32_t stream)
{
    for (uint16_t i = *bucket_of(l, run, stream); i != NONE; i = l->entries[i].next)
        if (l->entries[i].run == run && l->entries[i].stream == stream)
            return &l->entries[i];
    return NULL;
}

/* Takes the stream that ended first out of the table and into the sums. */
static entry *fold_oldest(ledger *l)
{
    entry *e = &l->entries[l->oldest_ended];
    uint16_t *link = bucket_of(l, e->run, e->stream);

    add(&l->folded.events, e->events);
    add(&l->folded.bytes, e->bytes);
    add(&l->folded.controls, e->controls);
    l->folded.streams++;
    while (*link != l->oldest_ended)
        link = &l->entries[*link].next;
    *link = e->next;
    l->oldest_ended = e->next_ended;
    if (l->oldest_ended == NONE)
        l->newest_ended = NONE;
    l->ended_count--;
    return e;
}

static entry *find_or_add(ledger *l, uint64_t run, uint32_t stream)
{
    entry *e = find(l, run, stream);
    uint16_t *bucket;

    if (e)
        return e;
    if (l->count < LEDGER_STREAMS_MAX)
        e = &l->entries[l->count++];
    else if (l->ended_count)
        e = fold_oldest(l);
    else
        return NULL;
    bucket = bucket_of(l, run, stream);
    *e = (entry){.run = run, .stream = stream, .next = *bucket, .next_ended = NONE};
    *bucket = (uint16_t)(e - l->entries);
    return e;
}

static void end(ledger *l, entry *e)
{
    uint16_t i = (uint16_t)(e - l->entries);

    e->ended = true;
    if (l->newest_ended == NONE)
        l->oldest_ended = i;
    else
        l->entries[l->newest_ended].next_ended = i;
    l->newest_ended = i;
    l->ended_count++;
}

/* The run's start, made now where this is its first mark; the run unused longest makes room. */
static const ledger_totals *run_before(ledger *l, uint64_t run, const ledger_totals *received)
{
    run_start *oldest = l->runs;

    l->clock++;
    for (run_start *r = l->runs; r < l->runs + RUNS_MAX; r++) {
        if (r->used && r->run == run) {
            r->used = l->clock;
            return &r->before;
        }
        if (r->used < oldest->used)
            oldest = r;
    }
    *oldest = (run_start){.run = run, .used = l->clock, .before = *received};
    oldest->before.controls--; /* this mark is the run's own */
    /* Drops may have come while this mark still waited to be taken; they are the run's too. */
    oldest->before.dropped = l->dropped;
    return &oldest->before;
}

bool ledger_take(ledger *l, const hx_mark *mark, const ledger_totals *received, hx_mark *report)
{
    const ledger_totals *before;
    entry *e;

    if (mark->kind == HX_MARK_REPORT || mark->kind == HX_MARK_NONE)
        return false;
    before = run_before(l, mark->run, received);
    l->dropped = received->dropped;
    e = find_or_add(l, mark->run, mark->stream);
    if (!e && l->ignored < UINT32_MAX)
        l->ignored++;
    if (mark->kind == HX_MARK_PROBE)
        return false;
    if (e && (!e->told || mark->sequence > e->sequence)) {
        e->told = true;
        e->sequence = mark->sequence;
        e->events = mark->events;
        e->bytes = mark->bytes;
        e->controls = mark->controls;
    }
    if (e && mark->kind == HX_MARK_END && !e->ended)
        end(l, e);
    *report = (hx_mark){.kind = HX_MARK_REPORT,
                        .run = mark->run,
                        .stream = mark->stream,
                        .sequence = mark->sequence,
                        .events = received->events - before->events,
                        .bytes = received->bytes - before->bytes,
                        .controls = received->controls - before->controls,
                        .dropped = received->dropped - before->dropped};
    return true;
}

static bool is_closed(const hx_account *a)
{
    uint64_t sent = a->sent, got = a->received;

    add(&sent, a->sent_controls);
    add(&got, a->received_controls);
    add(&got, a->shed);
    add(&got, a->kernel_dropped);
    add(&got, a->lost_elsewhere);
    return a->streams == a->streams_ended && sent == got;
}

void ledger_account(const ledger *l, const ledger_totals *received, uint32_t drop_messages,
                    hx_account *out)
{
    uint64_t sent, got = received->events + received->controls + received->shed, missing;
    uint64_t dropped = received->dropped * drop_messages;

    *out = (hx_account){.sent = l->folded.events,
                        .sent_bytes = l->folded.bytes,
                        .sent_controls = l->folded.controls,
                        .received = received->events,
                        .received_bytes = received->bytes,
                        .received_controls = received->controls,
                        .shed = received->shed,
                        .streams = l->folded.streams + l->count + l->ignored,
                        .streams_ended = l->folded.streams + l->ended_count};
    for (uint32_t i = 0; i < l->count; i++) {
        add(&out->sent, l->entries[i].events);
        add(&out->sent_bytes, l->entries[i].bytes);
        add(&out->sent_controls, l->entries[i].controls);
    }
    sent = out->sent;
    add(&sent, out->sent_controls);
    missing = sent > got ? sent - got : 0;
    out->kernel_dropped = missing < dropped ? missing : dropped;
    out->lost_elsewhere = missing - out->kernel_dropped;
    out->closed = is_closed(out);
}

void hx_account_add(hx_account *sum, const hx_account *part)
{
    add(&sum->sent, part->sent);
    add(&sum->sent_bytes, part->sent_bytes);
    add(&sum->sent_controls, part->sent_controls);
    add(&sum->received, part->received);
    add(&sum->received_bytes, part->received_bytes);
    add(&sum->received_controls, part->received_controls);
    add(&sum->shed, part->shed);
    add(&sum->kernel_dropped, part->kernel_dropped);
    add(&sum->lost_elsewhere, part->lost_elsewhere);
    sum->streams += part->streams;
    sum->streams_ended += part->streams_ended;
    sum->closed = is_closed(sum);
}
