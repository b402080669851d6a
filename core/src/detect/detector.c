#include "detect/detector.h"

#include "detect/manifest.h"

#include <haechi/pages.h>

#include <cjson/cJSON.h>
#include <math.h>
#include <stdlib.h>

#define LINE_BYTES 64

extern const hx_detector hx_combos_detector, hx_counts_detector, hx_mscred_detector,
    hx_rates_detector, hx_values_detector;

const hx_detector *const hx_detectors[] = {&hx_counts_detector, &hx_rates_detector,
                                           &hx_values_detector, &hx_combos_detector,
                                           &hx_mscred_detector, NULL};

/* --- evidence ----------------------------------------------------------------------------------
 */

double hx_evidence_of(const hx_evidence *evidence, double score)
{
    uint32_t last = evidence->count - 1, i = 0;
    double share;

    if (!evidence->count)
        return 0;
    if (score <= evidence->at[0])
        return evidence->nats[0];
    if (score >= evidence->at[last])
        return evidence->nats[last] + evidence->slope * (score - evidence->at[last]);
    while (score > evidence->at[i + 1])
        i++;
    share = (score - evidence->at[i]) / (evidence->at[i + 1] - evidence->at[i]);
    return evidence->nats[i] + share * (evidence->nats[i + 1] - evidence->nats[i]);
}

static int read_numbers(const cJSON *json, const char *key, double *out, uint32_t *count)
{
    const cJSON *list = cJSON_GetObjectItemCaseSensitive(json, key), *item;
    uint32_t n = 0;

    if (!cJSON_IsArray(list))
        return HX_EMALFORMED;
    cJSON_ArrayForEach(item, list)
    {
        if (!cJSON_IsNumber(item) || !isfinite(item->valuedouble) || n == HX_KNOTS_MAX)
            return HX_EMALFORMED;
        out[n++] = item->valuedouble;
    }
    *count = n;
    return 0;
}

int hx_evidence_read(const cJSON *json, const char *place, hx_evidence *out, hx_error *err)
{
    const cJSON *slope = cJSON_GetObjectItemCaseSensitive(json, "slope");
    uint32_t heights = 0;
    bool good;

    *out = (hx_evidence){0};
    if (!json || cJSON_IsNull(json))
        return 0;
    good = read_numbers(json, "at", out->at, &out->count) == 0 &&
           read_numbers(json, "nats", out->nats, &heights) == 0 && heights == out->count &&
           cJSON_IsNumber(slope) && slope->valuedouble >= 0 && isfinite(slope->valuedouble);
    for (uint32_t i = 1; good && i < out->count; i++)
        good = out->at[i] > out->at[i - 1] && out->nats[i] >= out->nats[i - 1];
    if (!good)
        return hx_error_set(err, HX_EMALFORMED,
                            "manifest.json: %s.evidence: \"at\" and \"nats\" of the same length, "
                            "at most %d ascending numbers each, and a \"slope\" are needed",
                            place, HX_KNOTS_MAX);
    out->slope = slope->valuedouble;
    return 0;
}

/* --- those of a bundle -------------------------------------------------------------------------
 */

static void note_event(hx_detector_set *set, const hx_detector *d)
{
    struct hx_detector_places *places = d->only_odd        ? &set->of_odd
                                        : d->session_bytes ? &set->of_kept
                                                           : &set->of_all;

    if (d->event)
        places->at[places->count++] = (uint8_t)set->count;
}

int hx_detector_set_load(hx_detector_set *set, const hx_bundle_files *files,
                         const struct hx_bundle *bundle, hx_error *err)
{
    *set = (hx_detector_set){0};
    for (const hx_detector *const *d = hx_detectors; *d; d++) {
        const cJSON *section = hx_manifest_detector(files->manifest, (*d)->name);
        int rc;

        if (!section)
            continue;
        rc = (*d)->load(section, files, bundle, &set->model[set->count], err);
        if (rc) {
            hx_detector_set_unload(set);
            return rc;
        }
        set->detector[set->count] = *d;
        set->session_at[set->count] = set->session_bytes;
        set->session_bytes += ((*d)->session_bytes + LINE_BYTES - 1) / LINE_BYTES * LINE_BYTES;
        note_event(set, *d);
        set->sees_lines |= (*d)->lines != NULL;
        set->count++;
    }
    return 0;
}

bool hx_detector_set_wants_hosts(const hx_detector_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->detector[i]->wants_hosts)
            return true;
    return false;
}

bool hx_detector_set_wants_processes(const hx_detector_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->detector[i]->wants_processes)
            return true;
    return false;
}

const hx_values *hx_detector_set_values(const hx_detector_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        if (set->detector[i]->values)
            return set->detector[i]->values(set->model[i]);
    return NULL;
}

void hx_detector_set_unload(hx_detector_set *set)
{
    for (uint32_t i = 0; i < set->count; i++)
        set->detector[i]->unload(set->model[i]);
    *set = (hx_detector_set){0};
}

/* --- a worker's room ---------------------------------------------------------------------------
 */

int hx_detector_room_init(hx_detector_room *room, const hx_detector_set *set, uint32_t worker,
                          uint32_t workers, uint32_t slot_count)
{
    *room = (hx_detector_room){.set = set, .slot_count = slot_count};
    room->grown = calloc(slot_count / 64 + 1, sizeof *room->grown);
    if (set->session_bytes)
        room->sessions = hx_pages_map((size_t)slot_count * set->session_bytes);
    if (!room->grown || (set->session_bytes && !room->sessions)) {
        hx_detector_room_free(room);
        return HX_ENOMEM;
    }
    for (uint32_t i = 0; i < set->count; i++) {
        const hx_detector *d = set->detector[i];

        if (d->open && d->open(set->model[i], worker, workers, &room->state[i])) {
            hx_detector_room_free(room);
            return HX_ENOMEM;
        }
    }
    return 0;
}

void hx_detector_room_free(hx_detector_room *room)
{
    for (uint32_t i = 0; room->set && i < room->set->count; i++)
        if (room->state[i])
            room->set->detector[i]->close(room->state[i]);
    if (room->sessions)
        hx_pages_unmap(room->sessions, (size_t)room->slot_count * room->set->session_bytes);
    free(room->grown);
    *room = (hx_detector_room){0};
}

void hx_detector_keep(const hx_detector_room *room, const uint16_t *tokens, uint32_t count,
                      char *kept)
{
    const hx_detector_set *set = room->set;

    memset(kept, 0, set->session_bytes);
    for (uint32_t k = 0; k < set->of_kept.count; k++) {
        const uint32_t i = set->of_kept.at[k];

        for (uint32_t t = 0; t < count; t++)
            set->detector[i]->event(set->model[i], room->state[i], kept + set->session_at[i], NULL,
                                    NULL, tokens[t], NULL);
    }
}

void hx_detector_session_grows(const hx_detector_room *room, uint32_t slot, const uint16_t *tokens,
                               uint32_t count)
{
    if (room->sessions)
        hx_detector_keep(room, tokens, count,
                         room->sessions + (size_t)slot * room->set->session_bytes);
    room->grown[slot / 64] |= UINT64_C(1) << (slot % 64);
}

/* Where the same detector stands in another set; count where it is not there. */
static uint32_t place_of(const hx_detector_set *set, const hx_detector *detector)
{
    uint32_t i = 0;

    while (i < set->count && set->detector[i] != detector)
        i++;
    return i;
}

static void take_over_session(hx_detector_room *to, const hx_detector_room *from, uint32_t slot,
                              const uint16_t *map, uint32_t map_len)
{
    to->grown[slot / 64] |= UINT64_C(1) << (slot % 64);
    for (uint32_t i = 0; i < to->set->count; i++) {
        const hx_detector *d = to->set->detector[i];
        uint32_t before = place_of(from->set, d);
        bool was_there = before < from->set->count;
        void *session = hx_detector_session(to, slot, i);

        if (!d->session_bytes || !d->translate)
            continue;
        if (was_there)
            memcpy(session, hx_detector_session(from, slot, before), d->session_bytes);
        d->translate(session, was_there ? map : NULL, map_len);
    }
}

int hx_detector_room_adopt(hx_detector_room *room, const hx_detector_set *set, uint32_t worker,
                           uint32_t workers, uint32_t slots, const uint16_t *map, uint32_t map_len)
{
    hx_detector_room next;
    int rc = hx_detector_room_init(&next, set, worker, workers, room->slot_count);

    if (rc)
        return rc;
    for (uint32_t slot = 0; slot < slots; slot++)
        if (hx_detector_grown(room, slot))
            take_over_session(&next, room, slot, map, map_len);
    hx_detector_room_free(room);
    *room = next;
    return 0;
}
