/* Series of counts over time, and how each two of them go together: the signature matrices that
 * mscred reads (docs/mscred.md).
 *
 * Time is cut into intervals. Interval k closes when event time has passed the end of interval
 * k + 1: until then late events are still counted in it, later ones are lost by name (late). So
 * what a series holds is a function of the lines and their order alone. Ten intervals are a piece;
 * pieces begin at interval numbers that ten divides. At the end of each piece, when enough stand
 * before it, there is a matrix a window: cell (i, j) is the mean of x_i * x_j over the window's
 * intervals, with x = (v - low) / (high - low) and v made of the count as the form says.
 *
 * An interval without events is one with counts of 0, for as long as the matrices see any event.
 * After that there is nothing to say: series sleep, and begin anew with the next event. */
#ifndef HAECHI_DETECT_SERIES_H
#define HAECHI_DETECT_SERIES_H

#include <haechi/error.h>
#include <haechi/front.h>
#include <haechi/text.h>

#define HX_SERIES_MAX     64
#define HX_SERIES_SCALES  3
#define HX_SERIES_STEP    10 /* intervals of a piece */
#define HX_SERIES_PIECES  6  /* of the longest window */
#define HX_SERIES_HISTORY 5  /* matrices that a verdict looks at */
/* Intervals that a verdict looks back over. */
#define HX_SERIES_SEEN (HX_SERIES_STEP * (HX_SERIES_PIECES + HX_SERIES_HISTORY - 1))

extern const uint32_t hx_series_windows[HX_SERIES_SCALES]; /* intervals: 10, 30, 60 */

#define HX_SERIES_HOST_PLACES 128 /* a power of two, above HX_SERIES_MAX */
#define HX_SERIES_HOST_BYTES  255 /* of a name */

typedef struct hx_series_host {
    uint32_t hash; /* the low half, as hx_event has it */
    uint32_t len;
    char name[HX_SERIES_HOST_BYTES];
} hx_series_host;

typedef enum hx_series_value {
    HX_SERIES_LN,  /* ln(1 + count): older bundles */
    HX_SERIES_ROOT /* 2 sqrt(count + 3/8) */
} hx_series_value;

/* What the bundle says of them. */
typedef struct hx_series_form {
    uint32_t count; /* series; the last one is of all that has none of its own */
    uint32_t log_keys;
    int64_t interval_us;
    hx_series_value value;
    uint32_t host_count;                     /* those that have a row; 0: hosts do not matter */
    hx_series_host *hosts;                   /* [host_count] */
    uint8_t host_row[HX_SERIES_HOST_PLACES]; /* by hash, the next place where one is taken; or 0 */
    uint8_t *of; /* [1 + host_count][log_keys + 1]: row 0 is of all other hosts, the last column of
                    events without a key */
    double low[HX_SERIES_MAX], high[HX_SERIES_MAX];
} hx_series_form;

typedef struct hx_series hx_series;

/* A moment: a piece has ended, and HX_SERIES_SEEN intervals stand behind it.
 * matrices: [HX_SERIES_HISTORY][HX_SERIES_SCALES][count][count], oldest first. piece: [count]
 * events of the last HX_SERIES_STEP intervals. end_us: where the last interval ends. */
typedef void (*hx_series_moment)(void *context, const float *matrices, const uint32_t *piece,
                                 int64_t end_us);

/* form stays the caller's and must outlive it. HX_ENOMEM. */
int hx_series_create(const hx_series_form *form, hx_series **out);
void hx_series_destroy(hx_series *series);

/* Training saw no event of it. */
bool hx_series_is_new(const hx_series_form *form, uint32_t series);

/* A host gets a row, the next one; hosts and host_row have room. Its hash is as hx_event has it. */
void hx_series_add_host(hx_series_form *form, hx_slice name);

/* Its row; 0 where it has none, and for a host without a name. */
uint32_t hx_series_row(const hx_series_form *form, uint32_t hash, hx_slice name);

static inline uint32_t hx_series_of(const hx_series_form *form, uint32_t row, uint32_t key)
{
    return form
        ->of[(size_t)row * (form->log_keys + 1) + (key < form->log_keys ? key : form->log_keys)];
}

/* An event of the series `of`, in the order of the input; calls moment for each one that its time
 * ends. True where it is the first of its series in its interval. One without a time is not
 * counted. */
bool hx_series_add(hx_series *series, uint32_t of, int64_t time_us, hx_series_moment moment,
                   void *context);

/* Events on their way may have been lost, the newest of them at this time: HX_TIME_NONE, or what
 * was said before, changes nothing. A count of an interval that is not closed yet, up to that time,
 * is then at least what it was in the last interval that lost none: what is missing can only have
 * been more, and how the series hang together says nothing of the path. */
void hx_series_lose(hx_series *series, int64_t time_us);

/* Event time has come this far without an event. */
void hx_series_advance(hx_series *series, int64_t time_us, hx_series_moment moment, void *context);

/* Events that came after their interval had closed. */
uint64_t hx_series_late(const hx_series *series);

/* The counts that the matrices rest on; restoring computes these anew. HX_EMALFORMED where the
 * bytes are of another form: the series are then as if made anew. */
void hx_series_save(const hx_series *series, hx_text *out);
int hx_series_restore(hx_series *series, const char *bytes, size_t len);

#endif
