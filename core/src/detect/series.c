#include "detect/series.h"

#include <haechi/hash.h>

#include <math.h>
#include <stdlib.h>

#define NONE         INT64_MIN
#define OPEN         2 /* intervals that may still get events: the newest and the one before it */
#define TABLED       4096 /* counts */
#define INTERVAL_MAX (INT64_C(1) << 60)

const uint32_t hx_series_windows[HX_SERIES_SCALES] = {10, 30, 60};

struct hx_series {
    const hx_series_form *form;
    size_t cells;    /* count * count */
    int64_t latest;  /* interval of the largest event time; NONE: asleep */
    int64_t next;    /* first interval that is not closed */
    uint32_t quiet;  /* closed intervals without an event, since the last one with any */
    uint32_t pieces; /* whole ones since it woke, at most HX_SERIES_PIECES */
    uint32_t matrices;
    uint64_t late;
    int64_t lossy;    /* up to here intervals may lack events; NONE */
    bool aligned;     /* the piece that is being filled was so from its first interval on */
    uint32_t *open;   /* [OPEN][count], by interval number */
    uint32_t *closed; /* [HX_SERIES_SEEN + HX_SERIES_STEP][count], by interval number */
    uint32_t *whole;  /* [count] of the last interval that lacks none */
    uint32_t *piece;  /* [count] events of the piece being filled */
    double *products; /* [HX_SERIES_PIECES + 1][cells], the first one is being filled */
    float *history;   /* [HX_SERIES_HISTORY][HX_SERIES_SCALES][cells] */
    double *value;    /* [count] */
    double *value_of; /* [TABLED] a count's, before it is scaled */
};

#define KEPT (HX_SERIES_SEEN + HX_SERIES_STEP)

/* Rounded down, also before 1970. */
static int64_t interval_of(const hx_series *s, int64_t time_us)
{
    int64_t i = time_us / s->form->interval_us;

    return i - (time_us < 0 && i * s->form->interval_us != time_us);
}

static uint32_t place_of(int64_t interval, uint32_t places)
{
    int64_t m = interval % (int64_t)places;

    return (uint32_t)(m < 0 ? m + places : m);
}

/* --- hosts -------------------------------------------------------------------------------------
 */

void hx_series_add_host(hx_series_form *form, hx_slice name)
{
    hx_series_host *host = &form->hosts[form->host_count++];
    uint32_t at;

    host->hash = (uint32_t)hx_hash_bytes(name.ptr, name.len, HX_HASH_SEED);
    host->len = (uint32_t)name.len;
    memcpy(host->name, name.ptr, name.len);
    at = host->hash % HX_SERIES_HOST_PLACES;
    while (form->host_row[at])
        at = (at + 1) % HX_SERIES_HOST_PLACES;
    form->host_row[at] = (uint8_t)form->host_count;
}

uint32_t hx_series_row(const hx_series_form *form, uint32_t hash, hx_slice name)
{
    for (uint32_t at = hash % HX_SERIES_HOST_PLACES; form->host_row[at];
         at = (at + 1) % HX_SERIES_HOST_PLACES) {
        const hx_series_host *host = &form->hosts[form->host_row[at] - 1];

        if (host->hash == hash && host->len == name.len &&
            memcmp(host->name, name.ptr, name.len) == 0)
            return form->host_row[at];
    }
    return 0;
}

/* --- made --------------------------------------------------------------------------------------
 */

static double value_of(const hx_series_form *form, uint32_t count)
{
    return form->value == HX_SERIES_LN ? log1p((double)count) : 2 * sqrt((double)count + 0.375);
}

/* Training scales what never moved by 1, which is not the distance of two counts' values. */
bool hx_series_is_new(const hx_series_form *form, uint32_t series)
{
    const double low = form->low[series], high = form->high[series];

    return fabs(low - value_of(form, 0)) < 1e-9 && fabs(high - low - 1) < 1e-9;
}

int hx_series_create(const hx_series_form *form, hx_series **out)
{
    const uint32_t n = form->count;
    hx_series *s = calloc(1, sizeof *s);

    if (!s)
        return HX_ENOMEM;
    s->form = form;
    s->cells = (size_t)n * n;
    s->latest = s->lossy = NONE;
    s->whole = calloc(n, sizeof *s->whole);
    s->open = calloc((size_t)OPEN * n, sizeof *s->open);
    s->closed = calloc((size_t)KEPT * n, sizeof *s->closed);
    s->piece = calloc(n, sizeof *s->piece);
    s->products = calloc((HX_SERIES_PIECES + 1) * s->cells, sizeof *s->products);
    s->history = calloc(HX_SERIES_HISTORY * HX_SERIES_SCALES * s->cells, sizeof *s->history);
    s->value = calloc(n, sizeof *s->value);
    s->value_of = calloc(TABLED, sizeof *s->value_of);
    if (!s->whole || !s->open || !s->closed || !s->piece || !s->products || !s->history ||
        !s->value || !s->value_of) {
        hx_series_destroy(s);
        return HX_ENOMEM;
    }
    for (uint32_t i = 0; i < TABLED; i++)
        s->value_of[i] = value_of(form, i);
    *out = s;
    return 0;
}

void hx_series_destroy(hx_series *series)
{
    if (!series)
        return;
    free(series->whole);
    free(series->open);
    free(series->closed);
    free(series->piece);
    free(series->products);
    free(series->history);
    free(series->value);
    free(series->value_of);
    free(series);
}

/* --- matrices ----------------------------------------------------------------------------------
 */

/* One interval more in the piece: its products are added to those before it, so that a matrix costs
 * the same for every window. The inner loop is one multiplication and addition of a row, which the
 * compiler makes vectors of; the matrix is symmetric, but half rows would undo that. */
static void add_products(hx_series *s, const uint32_t *count)
{
    const uint32_t n = s->form->count;
    double *restrict value = s->value;

    for (uint32_t i = 0; i < n; i++) {
        double x = count[i] < TABLED ? s->value_of[count[i]] : value_of(s->form, count[i]);

        value[i] = (x - s->form->low[i]) / (s->form->high[i] - s->form->low[i]);
        s->piece[i] += count[i];
    }
    for (uint32_t i = 0; i < n; i++) {
        double *restrict row = s->products + (size_t)i * n;
        const double x = value[i];

        for (uint32_t j = 0; j < n; j++)
            row[j] += x * value[j];
    }
}

/* The matrices of a whole piece, at the end of the history. */
static void put_matrices(hx_series *s)
{
    float *at = s->history + (HX_SERIES_HISTORY - 1) * HX_SERIES_SCALES * s->cells;

    memmove(s->history, s->history + HX_SERIES_SCALES * s->cells,
            (HX_SERIES_HISTORY - 1) * HX_SERIES_SCALES * s->cells * sizeof *s->history);
    for (uint32_t scale = 0; scale < HX_SERIES_SCALES; scale++) {
        const uint32_t window = hx_series_windows[scale];

        for (size_t c = 0; c < s->cells; c++) {
            double sum = 0;

            for (uint32_t p = 0; p < window / HX_SERIES_STEP; p++)
                sum += s->products[p * s->cells + c];
            at[scale * s->cells + c] = (float)(sum / window);
        }
    }
    if (s->matrices < HX_SERIES_HISTORY)
        s->matrices++;
}

static void begin_piece(hx_series *s)
{
    memmove(s->products + s->cells, s->products, HX_SERIES_PIECES * s->cells * sizeof *s->products);
    memset(s->products, 0, s->cells * sizeof *s->products);
    memset(s->piece, 0, s->form->count * sizeof *s->piece);
    s->aligned = true;
}

/* moment: NULL while a saved state is counted again. */
static void end_piece(hx_series *s, int64_t interval, hx_series_moment moment, void *context)
{
    if (s->aligned) {
        if (s->pieces < HX_SERIES_PIECES)
            s->pieces++;
        if (s->pieces == HX_SERIES_PIECES)
            put_matrices(s);
        if (s->matrices == HX_SERIES_HISTORY && moment)
            moment(context, s->history, s->piece, (interval + 1) * s->form->interval_us);
    }
    begin_piece(s);
}

/* --- intervals ---------------------------------------------------------------------------------
 */

static void sleep_now(hx_series *s)
{
    s->latest = NONE;
    s->pieces = s->matrices = s->quiet = 0;
    s->aligned = false;
}

static void wake(hx_series *s, int64_t interval)
{
    s->latest = s->next = interval;
    s->quiet = 0;
    memset(s->whole, 0, s->form->count * sizeof *s->whole);
    memset(s->open, 0, (size_t)OPEN * s->form->count * sizeof *s->open);
    begin_piece(s);
    s->aligned = place_of(interval, HX_SERIES_STEP) == 0;
}

/* Whether the next interval to close had an event. */
static bool any_event(const hx_series *s, const uint32_t *count)
{
    for (uint32_t i = 0; i < s->form->count; i++)
        if (count[i])
            return true;
    return false;
}

static void make_up(const hx_series *s, uint32_t *count)
{
    for (uint32_t i = 0; i < s->form->count; i++)
        count[i] = count[i] > s->whole[i] ? count[i] : s->whole[i];
}

static void close_next(hx_series *s, uint32_t *count, hx_series_moment moment, void *context)
{
    const size_t bytes = s->form->count * sizeof *count;
    const int64_t interval = s->next++;

    if (interval <= s->lossy)
        make_up(s, count);
    else
        memcpy(s->whole, count, bytes);
    memcpy(s->closed + (size_t)place_of(interval, KEPT) * s->form->count, count, bytes);
    s->quiet = any_event(s, count) ? 0 : s->quiet + 1;
    add_products(s, count);
    if (place_of(interval + 1, HX_SERIES_STEP) == 0)
        end_piece(s, interval, moment, context);
}

/* Event time is in this interval: every interval before the one before it is over. */
static void reach(hx_series *s, int64_t interval, hx_series_moment moment, void *context)
{
    if (interval <= s->latest)
        return;
    while (s->next < interval - 1 && s->quiet < HX_SERIES_SEEN) {
        uint32_t *count = s->open + (size_t)place_of(s->next, OPEN) * s->form->count;

        close_next(s, count, moment, context);
        memset(count, 0, s->form->count * sizeof *count);
    }
    if (s->next < interval - 1)
        sleep_now(s);
    else
        s->latest = interval;
}

bool hx_series_add(hx_series *series, uint32_t of, int64_t time_us, hx_series_moment moment,
                   void *context)
{
    hx_series *s = series;
    uint32_t *count;
    int64_t interval;

    if (time_us == HX_TIME_NONE)
        return false;
    interval = interval_of(s, time_us);
    if (s->latest != NONE)
        reach(s, interval, moment, context);
    if (s->latest == NONE)
        wake(s, interval);
    if (interval < s->next) {
        s->late++;
        return false;
    }
    count = s->open + (size_t)place_of(interval, OPEN) * s->form->count + of;
    *count += *count < UINT32_MAX;
    return *count == 1;
}

void hx_series_lose(hx_series *series, int64_t time_us)
{
    int64_t interval = time_us == HX_TIME_NONE ? NONE : interval_of(series, time_us);

    series->lossy = interval > series->lossy ? interval : series->lossy;
}

void hx_series_advance(hx_series *series, int64_t time_us, hx_series_moment moment, void *context)
{
    if (series->latest != NONE && time_us != HX_TIME_NONE)
        reach(series, interval_of(series, time_us), moment, context);
}

uint64_t hx_series_late(const hx_series *series)
{
    return series->late;
}

/* --- a checkpoint's part -----------------------------------------------------------------------
 */

typedef struct saved_head {
    uint64_t form;               /* a hash of it: counts of other series mean nothing here */
    int64_t latest, next, first; /* first: of the closed intervals that follow */
    int64_t lossy;
    uint64_t late, quiet;
} saved_head;

static uint64_t form_hash(const hx_series_form *f)
{
    uint64_t h = hx_hash_u64(HX_HASH_SEED, f->count);

    h = hx_hash_u64(h, (uint64_t)f->interval_us);
    h = hx_hash_u64(h, (uint64_t)f->value);
    for (uint32_t i = 0; i < f->host_count; i++)
        h = hx_hash_bytes(f->hosts[i].name, f->hosts[i].len, h);
    h = hx_hash_bytes(f->of, (1 + (size_t)f->host_count) * (f->log_keys + 1), h);
    h = hx_hash_bytes(f->low, f->count * sizeof *f->low, h);
    return hx_hash_bytes(f->high, f->count * sizeof *f->high, h);
}

/* Closed intervals are saved from the first one on that a whole piece of the history needs. */
static int64_t first_needed(const hx_series *s)
{
    int64_t pieces = s->matrices ? (int64_t)HX_SERIES_PIECES + s->matrices - 1 : s->pieces;
    int64_t begun = s->next - place_of(s->next, HX_SERIES_STEP);

    return s->aligned ? begun - pieces * HX_SERIES_STEP : s->next;
}

void hx_series_save(const hx_series *series, hx_text *out)
{
    const hx_series *s = series;
    const size_t row = s->form->count * sizeof(uint32_t);
    saved_head head = {form_hash(s->form), s->latest, s->next, 0, s->lossy, s->late, s->quiet};

    if (s->latest == NONE) {
        hx_text_bytes(out, &head, sizeof head);
        return;
    }
    head.first = first_needed(s);
    hx_text_bytes(out, &head, sizeof head);
    hx_text_bytes(out, s->open, OPEN * row);
    for (int64_t i = head.first; i < s->next; i++)
        hx_text_bytes(out, s->closed + (size_t)place_of(i, KEPT) * s->form->count, row);
}

int hx_series_restore(hx_series *series, const char *bytes, size_t len)
{
    hx_series *s = series;
    const size_t row = s->form->count * sizeof(uint32_t);
    saved_head head;
    const char *open;

    if (len < sizeof head)
        return HX_EMALFORMED;
    memcpy(&head, bytes, sizeof head);
    if (head.form != form_hash(s->form))
        return HX_EMALFORMED;
    s->late = head.late;
    if (head.latest == NONE)
        return len == sizeof head ? 0 : HX_EMALFORMED;
    if (head.first < -INTERVAL_MAX || head.next > INTERVAL_MAX || head.first > head.next ||
        head.next - head.first > KEPT || head.latest < head.next || head.latest > head.next + 1 ||
        len != sizeof head + (size_t)(OPEN + head.next - head.first) * row)
        return HX_EMALFORMED;
    wake(s, head.first);
    open = bytes + sizeof head;
    for (bytes = open + OPEN * row; s->next < head.next; bytes += row) {
        memcpy(s->open, bytes, row); /* for its alignment; written over below */
        close_next(s, s->open, NULL, NULL);
    }
    memcpy(s->open, open, OPEN * row);
    s->latest = head.latest;
    s->lossy = head.lossy; /* not before: closed intervals have been made up */
    s->quiet = head.quiet > HX_SERIES_SEEN ? HX_SERIES_SEEN : (uint32_t)head.quiet;
    return 0;
}
