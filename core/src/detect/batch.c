#include "detect/batch.h"

#include <haechi/pages.h>

#include <stdlib.h>

/* How far a line's time may lie ahead of its arrival; beyond, its clock is not believed. */
#define AHEAD_MAX_US (INT64_C(86400) * 1000000)

int hx_batch_init(hx_batch *batch, uint32_t capacity, uint32_t workers)
{
    size_t events = hx_front_capacity(capacity);

    memset(batch, 0, sizeof *batch);
    batch->capacity = capacity;
    batch->buffer = hx_pages_reserve(capacity);
    batch->events = hx_pages_reserve(events * sizeof *batch->events);
    batch->novel = hx_pages_reserve(events * sizeof *batch->novel);
    batch->seen = hx_pages_reserve(events * sizeof *batch->seen);
    batch->owned_count = calloc(workers, sizeof *batch->owned_count);
    if (workers > 1)
        batch->owned = hx_pages_reserve(workers * events * sizeof *batch->owned);
    if (batch->buffer && batch->events && batch->novel && batch->seen && batch->owned_count &&
        (workers == 1 || batch->owned))
        return 0;
    hx_batch_free(batch, workers);
    return HX_ENOMEM;
}

void hx_batch_free(hx_batch *batch, uint32_t workers)
{
    size_t events = hx_front_capacity(batch->capacity);

    hx_pages_unmap(batch->buffer, batch->capacity);
    hx_pages_unmap(batch->events, events * sizeof *batch->events);
    hx_pages_unmap(batch->novel, events * sizeof *batch->novel);
    hx_pages_unmap(batch->seen, events * sizeof *batch->seen);
    hx_pages_unmap(batch->rulings, HX_RULINGS_OF(events) * sizeof *batch->rulings);
    hx_pages_unmap(batch->owned, workers * events * sizeof *batch->owned);
    free(batch->owned_count);
    memset(batch, 0, sizeof *batch);
}

int hx_batch_make_rulings(hx_batch *batch)
{
    size_t events = hx_front_capacity(batch->capacity);

    if (!batch->rulings)
        batch->rulings = hx_pages_reserve(HX_RULINGS_OF(events) * sizeof *batch->rulings);
    return batch->rulings ? 0 : HX_ENOMEM;
}

hx_ruling hx_batch_ruling(const hx_batch *batch, uint32_t event)
{
    uint32_t low = 0, high = batch->ruling_count;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (batch->rulings[middle].event < event)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < batch->ruling_count && batch->rulings[low].event == event)
        return batch->rulings[low];
    return (hx_ruling){event, HX_NO_RULE, 0, 0};
}

hx_seen hx_seen_of(const hx_event *events, uint32_t index, uint32_t workers)
{
    const hx_event *e = &events[index];

    return (hx_seen){
        .time_us = e->time_us,
        .earlier_us = e->earlier_us,
        .event = index,
        .key = e->key,
        .host = e->host_len ? e->host_number : 0,
        .process = e->process_len ? (uint16_t)e->process_number : 0,
        .host_owner = (uint8_t)hx_batch_owner((uint64_t)e->host << 32, workers),
        .process_owner = (uint8_t)hx_batch_owner(e->process, workers),
    };
}

/* A line whose clock is not believed counts as one without a time: it must not move the watermark,
 * or every session would look idle. *earlier_us: of the lines before this event's. */
static void bound_times(hx_batch *batch, hx_event *event, int64_t *earlier_us)
{
    if (event->first_of_line)
        *earlier_us = batch->latest_us;
    event->earlier_us = *earlier_us;
    if (event->time_us == HX_TIME_NONE && batch->arrival_time) {
        event->time_us = event->earlier_us = batch->chunk.arrival_us;
    } else if (__builtin_expect(event->time_us > batch->chunk.arrival_us + AHEAD_MAX_US, 0)) {
        event->time_us = HX_TIME_NONE;
        batch->clock_ahead += event->first_of_line;
    }
    if (event->time_us > batch->latest_us)
        batch->latest_us = event->time_us;
}

static void note_novel(hx_batch *batch, hx_front *front, uint32_t i)
{
    const hx_event *e = &batch->events[i];
    uint64_t id;

    if (e->key == HX_KEY_UNSEEN)
        id = hx_front_shape(front, hx_slice_make(batch->buffer + e->line, e->length));
    else
        id = batch->bundle->key_hash[e->key];
    batch->novel[batch->novel_count++] = (hx_novel){id, i};
}

static void show(const hx_batch *batch, const hx_event *e)
{
    const hx_line_place place = {
        .at_us = batch->chunk.arrival_us,
        .offset = batch->chunk.offset + e->line,
        .input = batch->chunk.input,
    };

    hx_tally_show(batch->bundle->tally, e->key, &place,
                  hx_slice_make(batch->buffer + e->line, e->length));
}

static void show_all(const hx_batch *batch)
{
    for (uint32_t i = 0; i < batch->event_count; i++)
        show(batch, &batch->events[i]);
}

void hx_batch_read(hx_batch *batch, hx_front *front, uint32_t reader, uint32_t workers)
{
    const hx_bundle *bundle = batch->bundle;
    _Atomic uint64_t *counts = bundle->tally ? hx_tally_counts(bundle->tally, reader) : NULL;
    const size_t room = hx_front_capacity(batch->capacity);
    int64_t earlier_us = HX_TIME_NONE;
    uint32_t consumed;
    hx_front_rules by = {
        .rules = batch->rules,
        .seat = batch->rules ? hx_rules_seat(batch->rules, reader) : NULL,
        .source = batch->source ? hx_slice_str(batch->source) : (hx_slice){0},
        .rulings = batch->rulings,
    };

    memset(&batch->counted, 0, sizeof batch->counted);
    batch->novel_count = 0;
    batch->clock_ahead = 0;
    batch->seen_count = 0;
    batch->latest_us = HX_TIME_NONE;
    memset(batch->owned_count, 0, workers * sizeof *batch->owned_count);
    if (batch->rules)
        hx_front_rule(front, &by);
    batch->event_count =
        hx_front_read(front, batch->buffer, batch->chunk.length, batch->chunk.arrival_us,
                      batch->events, (uint32_t)room, &consumed, &batch->counted);
    hx_front_rule(front, NULL);
    batch->ruling_count = by.count;
    batch->rules_over = by.over;
    for (uint32_t i = 0; i < batch->event_count; i++) {
        hx_event *e = &batch->events[i];

        bound_times(batch, e, &earlier_us);
        if (e->first_of_line || !bundle->format) {
            if (counts && hx_tally_count(counts, e->key))
                show(batch, e);
            if (hx_bundle_token(bundle, e->key) == bundle->deeplog.unseen)
                note_novel(batch, front, i);
        }
        if (bundle->detectors.sees_lines && e->first_of_line)
            batch->seen[batch->seen_count++] = hx_seen_of(batch->events, i, workers);
        if (workers > 1) {
            uint32_t owner = hx_batch_owner(e->session, workers);

            batch->owned[owner * room + batch->owned_count[owner]++] =
                (hx_owned){i, (uint32_t)e->session};
        }
    }
    if (counts && batch->event_count &&
        hx_tally_due(bundle->tally, reader, batch->chunk.arrival_us))
        show_all(batch);
}
