/* What the storm tells a sink, and what the sink answers: probes, marks and reports (mark.h). */
#include "send/room.h"

#include <time.h>

enum {
    MARK_EVERY_MS = 1000,
    END_EVERY_MS = 50, /* an end mark that is not answered is sent again */
    ANSWER_MS = 1500,  /* in which one is answered; over TCP there may be much before it */
    ANSWERS_MS = 60000,
};

static void send_mark(sender_worker *w, stream *s, hx_mark_kind kind)
{
    char text[HX_MARK_MAX];
    hx_mark mark = {.kind = kind,
                    .run = w->sender->run,
                    .stream = s->index,
                    .sequence = s->sequence++,
                    .time_ns = sender_now_ns() - w->sender->zero_ns + w->sender->zero_real_ns,
                    .events = s->events,
                    .bytes = s->bytes,
                    .controls = s->controls + 1};
    uint32_t len = hx_mark_format(&mark, text);

    if (s->outlet)
        lines_send_control(w, s, text, len);
    else
        datagrams_send_control(s, text, len);
}

static void take_report(sender_worker *w, stream *s, hx_slice text)
{
    hx_mark report;

    if (hx_mark_parse(text, &report) != HX_MARK_REPORT || report.run != w->sender->run ||
        report.stream != s->index)
        return;
    w->heard_ns = sender_now_ns();
    hx_stat_set(s->stat[SENDER_RECEIVED], report.events);
    hx_stat_set(s->stat[SENDER_DROPPED], report.dropped);
    hx_stat_set(s->stat[SENDER_REPORTED], 1);
    /* A report repeats the sequence of the mark that it answers. */
    if (report.sequence >= s->end_sequence)
        s->ended = true;
}

static void read_datagrams(sender_worker *w, stream *s)
{
    char text[HX_MARK_MAX + 1];
    ssize_t n;

    while ((n = recv(s->fd, text, sizeof text, MSG_DONTWAIT)) > 0)
        take_report(w, s, hx_slice_make(text, (size_t)n));
}

/* Frames of either kind: a report begins where its first bytes are found. */
static void read_stream(sender_worker *w, stream *s)
{
    static const char begin[] = "<46>haechi-sink:";
    int n;

    while ((n = hx_outlet_read(s->outlet, s->said + s->said_len, sizeof s->said - s->said_len)) >
           0) {
        s->said_len += (uint32_t)n;
        for (;;) {
            const char *at = memmem(s->said, s->said_len, begin, sizeof begin - 1);
            uint32_t left = at ? s->said_len - (uint32_t)(at - s->said) : 0;
            hx_mark mark = {.kind = HX_MARK_REPORT};
            char text[HX_MARK_MAX];
            uint32_t len = hx_mark_format(&mark, text); /* every report has this length */

            if (!at || left < len) {
                if (!at) { /* its first bytes may be the last that came */
                    left = s->said_len < sizeof begin - 2 ? s->said_len : sizeof begin - 2;
                    at = s->said + s->said_len - left;
                }
                memmove(s->said, at, left);
                s->said_len = left;
                break;
            }
            take_report(w, s, hx_slice_make(at, len));
            memmove(s->said, at + len, left - len);
            s->said_len = left - len;
        }
    }
}

static void read_reports(sender_worker *w, stream *s)
{
    if (s->outlet)
        read_stream(w, s);
    else
        read_datagrams(w, s);
}

void account_begin(sender_worker *w)
{
    for (uint32_t i = 0; i < w->stream_count; i++)
        send_mark(w, w->streams[i], HX_MARK_TOTALS);
}

void account_turn(sender_worker *w)
{
    int64_t now_ns = sender_now_ns();

    for (uint32_t i = 0; i < w->stream_count; i++) {
        stream *s = w->streams[i];

        if (now_ns < s->next_mark_ns)
            continue;
        s->next_mark_ns = now_ns + (int64_t)MARK_EVERY_MS * NS_PER_MS;
        read_reports(w, s);
        send_mark(w, s, HX_MARK_TOTALS);
    }
}

/* Whether answers may still come: over TCP from a receiver that takes slowly, but goes on. */
static bool may_answer(const sender_worker *w, int64_t begun_ns)
{
    bool slow = w->streams[0]->outlet && !atomic_load(&w->sender->stopping);
    int64_t now_ns = sender_now_ns(), wait_ms = slow ? SILENCE_MS : ANSWER_MS;

    return now_ns - (slow ? w->heard_ns : begun_ns) < wait_ms * NS_PER_MS &&
           now_ns - begun_ns < (int64_t)ANSWERS_MS * NS_PER_MS;
}

static bool is_open(const stream *s)
{
    return !s->ended && !s->cut;
}

void account_end(sender_worker *w)
{
    const struct timespec nap = {0, NS_PER_MS};
    /* A connection loses no mark: there it is said again only because another may carry it. */
    int64_t every_ns = (w->streams[0]->outlet ? MARK_EVERY_MS : END_EVERY_MS) * (int64_t)NS_PER_MS;
    int64_t begun_ns = sender_now_ns(), again_ns = begun_ns;
    uint32_t open = w->stream_count;

    w->heard_ns = begun_ns;
    for (uint32_t i = 0; i < w->stream_count; i++)
        w->streams[i]->end_sequence = w->streams[i]->sequence;
    while (open && may_answer(w, begun_ns)) {
        bool again = sender_now_ns() >= again_ns;

        open = 0;
        for (uint32_t i = 0; i < w->stream_count; i++) {
            stream *s = w->streams[i];

            if (again && is_open(s))
                send_mark(w, s, HX_MARK_END);
            read_reports(w, s);
            open += is_open(s);
        }
        if (again)
            again_ns = sender_now_ns() + every_ns;
        nanosleep(&nap, NULL);
    }
}

void account_probe(sender_worker *w, stream *s, int64_t time_ns)
{
    char text[HX_MARK_MAX];
    const struct hx_sender *sender = w->sender;
    hx_mark mark = {.kind = HX_MARK_PROBE,
                    .run = sender->run,
                    .stream = s->index,
                    .sequence = s->sequence++,
                    .time_ns = time_ns - sender->config.composer.start_ns + sender->zero_real_ns};

    lines_send_control(w, s, text, hx_mark_format(&mark, text));
}
