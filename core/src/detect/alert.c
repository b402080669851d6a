#include "detect/alert.h"

#include <haechi/hash.h>

#include <math.h>
#include <string.h>

#define EXPECTED_SHOWN   3
#define LINE_BYTES_SHOWN 4096

static hx_slice token_text(const hx_bundle *b, uint32_t token)
{
    if (token < b->log_keys)
        return hx_slice_str(hx_matcher_text(b->matcher, token));
    if (token == b->deeplog.begin)
        return HX_SLICE_LIT("(begin of session)");
    if (token == b->deeplog.end)
        return HX_SLICE_LIT("(end of session)");
    return HX_SLICE_LIT("(unseen)");
}

static void make_id(const hx_alert *a, uint64_t id[2])
{
    for (uint64_t part = 0; part < 2; part++) {
        uint64_t h = hx_hash_bytes(a->session.ptr, a->session.len, HX_HASH_SEED + part);

        h = hx_hash_u64(h, (uint64_t)a->kind);
        if (a->kind == HX_ALERT_DETECTOR) {
            h = hx_hash_u64(h, hx_hash_bytes(a->detector, strlen(a->detector), HX_HASH_SEED));
            h = hx_hash_u64(h, hx_hash_bytes(a->rule, strlen(a->rule), HX_HASH_SEED));
        }
        h = hx_hash_u64(h, a->identity);
        h = hx_hash_u64(h, a->offset);
        id[part] = hx_hash_u64(h, a->content);
    }
}

static bool is_deeplog(const hx_alert *a)
{
    return a->kind == HX_ALERT_EVENT || a->kind == HX_ALERT_SESSION;
}

static double score_of(const hx_alert *a, const hx_bundle *b)
{
    switch (a->kind) {
    case HX_ALERT_EVENT:
        return b->deeplog.likelihood ? (double)a->surprise_q10 / HX_NAT : (double)a->rank;
    case HX_ALERT_SESSION:
        return a->mean_surprise;
    case HX_ALERT_DETECTOR:
        return a->score;
    case HX_ALERT_NEW_KEY:
    case HX_ALERT_NEW_SHAPE:
    case HX_ALERT_RULE:
        break;
    }
    return 1;
}

static double threshold_of(const hx_alert *a, const hx_bundle *b)
{
    switch (a->kind) {
    case HX_ALERT_EVENT:
        return b->deeplog.likelihood ? b->deeplog.event_surprise : (double)b->deeplog.top_k;
    case HX_ALERT_SESSION:
        return b->deeplog.session_surprise;
    case HX_ALERT_DETECTOR:
        return a->threshold;
    case HX_ALERT_NEW_KEY:
    case HX_ALERT_NEW_SHAPE:
    case HX_ALERT_RULE:
        break;
    }
    return 0;
}

static const char *const severities[] = {"low", "medium", "high", "critical"};
enum { LOW, MEDIUM, HIGH, CRITICAL };

static int severity_named(const char *word)
{
    for (int i = LOW; i < CRITICAL; i++)
        if (strcmp(word, severities[i]) == 0)
            return i;
    return CRITICAL;
}

/* How bad: what the line itself says of it (syslog's severity), and how far over the limit it is.
 */
static int severity_found(const hx_alert *a, const hx_bundle *b)
{
    double limit = threshold_of(a, b);
    bool unseen = is_deeplog(a) && a->token == b->deeplog.unseen;
    bool scored = is_deeplog(a) || a->kind == HX_ALERT_DETECTOR;
    bool far = unseen || (scored && limit > 0 && score_of(a, b) >= 2 * limit);

    if (a->kind == HX_ALERT_RULE)
        return a->matched->severity;
    if (a->severity_word)
        return severity_named(a->severity_word);
    if (a->severity <= 2)
        return CRITICAL;
    if (a->severity == 3 || far)
        return HIGH;
    return a->severity == 7 ? LOW : MEDIUM;
}

static const char *severity_of(const hx_alert *a, const hx_bundle *b)
{
    int found = severity_found(a, b);

    return severities[a->lifted && found < CRITICAL ? found + 1 : found];
}

/* The likeliest tokens after the window, best first. */
typedef struct expectation {
    uint32_t count;
    uint32_t token[EXPECTED_SHOWN];
    double probability[EXPECTED_SHOWN];
} expectation;

static expectation likeliest(const hx_alert *a, const hx_bundle *b)
{
    expectation e = {0};
    float least = -INFINITY; /* of those it has, once there are enough */

    for (uint32_t t = 0; a->row && t < b->deeplog.classes; t++) {
        uint32_t at = e.count;

        if (__builtin_expect(e.count == EXPECTED_SHOWN && !(a->row[t] > least), 1) ||
            t == b->deeplog.begin || t == b->deeplog.unseen)
            continue;
        while (at > 0 && a->row[t] > a->row[e.token[at - 1]])
            at--;
        if (e.count < EXPECTED_SHOWN)
            e.count++;
        for (uint32_t i = e.count - 1; i > at; i--)
            e.token[i] = e.token[i - 1];
        e.token[at] = t;
        least = a->row[e.token[e.count - 1]];
    }
    for (uint32_t i = 0; i < e.count; i++)
        e.probability[i] = exp((double)a->row[e.token[i]]);
    return e;
}

static void put_expected(const expectation *e, const hx_bundle *b, hx_text *out)
{
    hx_text_json_key(out, "expected");
    hx_text_str(out, "[");
    for (uint32_t i = 0; i < e->count; i++) {
        hx_text_str(out, i ? ", {" : "{");
        hx_text_json_key(out, "log_key");
        if (e->token[i] < b->log_keys)
            hx_text_uint(out, e->token[i]);
        else
            hx_text_str(out, "null");
        hx_text_json_key(out, "probability");
        hx_text_json_number(out, e->probability[i]);
        hx_text_json_key(out, "template");
        hx_text_json_string(out, token_text(b, e->token[i]));
        hx_text_str(out, "}");
    }
    hx_text_str(out, "]");
}

static void put_before(const hx_alert *a, const hx_bundle *b, hx_text *out)
{
    bool first = true;

    hx_text_json_key(out, "before");
    hx_text_str(out, "[");
    for (uint32_t i = 0; a->window && i < b->window; i++) {
        if (a->window[i] == b->deeplog.begin)
            continue;
        if (!first)
            hx_text_str(out, ", ");
        first = false;
        hx_text_json_string(out, token_text(b, a->window[i]));
    }
    hx_text_str(out, "]");
}

static void put_lines(const hx_alert *a, hx_text *out)
{
    hx_slice shown = a->line;

    if (shown.len > LINE_BYTES_SHOWN)
        shown.len = LINE_BYTES_SHOWN;
    hx_text_json_key(out, "lines");
    hx_text_str(out, "[{");
    hx_text_json_key(out, "source");
    hx_text_json_string(out, hx_slice_str(a->source));
    hx_text_json_key(out, "offset");
    hx_text_uint(out, a->offset);
    hx_text_json_key(out, "text");
    if (a->line.len)
        hx_text_json_string(out, shown);
    else
        hx_text_str(out, "null");
    if (a->line.len > shown.len) {
        hx_text_json_key(out, "length");
        hx_text_uint(out, a->line.len);
    }
    hx_text_str(out, "}]");
}

/* A name of ours, in which nothing is to be escaped. */
static void put_word(hx_text *out, const char *word)
{
    hx_text_bytes(out, "\"", 1);
    hx_text_str(out, word);
    hx_text_bytes(out, "\"", 1);
}

static void put_opinions(const hx_alert *a, hx_text *out)
{
    hx_text_json_key(out, "evidence");
    hx_text_json_number(out, a->opinions[0].evidence);
    hx_text_json_key(out, "detectors");
    hx_text_str(out, "[");
    for (uint32_t i = 0; i < a->opinion_count; i++) {
        hx_text_str(out, i ? ", {" : "{");
        hx_text_json_key(out, "name");
        put_word(out, a->opinions[i].detector);
        hx_text_json_key(out, "evidence");
        hx_text_json_number(out, a->opinions[i].evidence);
        hx_text_str(out, "}");
    }
    hx_text_str(out, "]");
}

static void put_matched(const hx_rule *rule, hx_text *out)
{
    hx_text_json_key(out, "title");
    hx_text_json_string(out, hx_slice_str(rule->title));
    hx_text_json_key(out, "tags");
    hx_text_str(out, "[");
    for (uint32_t i = 0; i < rule->tag_count; i++) {
        hx_text_str(out, i ? ", " : "");
        hx_text_json_string(out, hx_slice_str(rule->tags[i]));
    }
    hx_text_str(out, "]");
}

static const char *detector_of(const hx_alert *a)
{
    if (a->kind == HX_ALERT_RULE)
        return "rule";
    if (a->kind == HX_ALERT_DETECTOR)
        return a->detector;
    return is_deeplog(a) ? "deeplog" : "new_event";
}

static const char *rule_of(const hx_alert *a, const hx_bundle *b)
{
    switch (a->kind) {
    case HX_ALERT_DETECTOR:
        return a->rule;
    case HX_ALERT_RULE:
        return a->matched->id;
    case HX_ALERT_SESSION:
        return "session_likelihood";
    case HX_ALERT_NEW_KEY:
        return "untrained_key";
    case HX_ALERT_NEW_SHAPE:
        return "no_template";
    case HX_ALERT_EVENT:
        break;
    }
    return b->deeplog.likelihood ? "event_likelihood" : "top_k";
}

/* --- the sentence ------------------------------------------------------------------------------
 */

static void say_quoted(hx_text *say, hx_slice s)
{
    hx_text_str(say, "\"");
    hx_text_bytes(say, s.ptr, s.len);
    hx_text_str(say, "\"");
}

static void say_event(const hx_alert *a, const hx_bundle *b, const expectation *e, hx_text *say)
{
    if (a->token == b->deeplog.unseen) {
        hx_text_str(say, "The line is of a kind that was never seen in training");
    } else if (a->token == b->deeplog.end) {
        hx_text_str(say, "The session ended where it does not usually end");
    } else {
        hx_text_str(say, "The event ");
        say_quoted(say, token_text(b, a->token));
        hx_text_str(say, " is not expected here");
    }
    if (b->deeplog.likelihood && a->row && a->token != b->deeplog.unseen) {
        hx_text_str(say, ": probability ");
        hx_text_general(say, exp((double)a->row[a->token]), 2);
        hx_text_str(say, ", ");
        hx_text_general(say, (double)a->surprise_q10 / HX_NAT, 3);
        hx_text_str(say, " nats more surprising than usual (the limit is ");
        hx_text_general(say, b->deeplog.event_surprise, 3);
        hx_text_str(say, ")");
    } else if (!b->deeplog.likelihood) {
        hx_text_str(say, " (it is not among the ");
        hx_text_uint(say, b->deeplog.top_k);
        hx_text_str(say, " likeliest)");
    }
    if (e->count) {
        hx_text_str(say, "; expected was ");
        say_quoted(say, token_text(b, e->token[0]));
        hx_text_str(say, " (");
        hx_text_general(say, e->probability[0], 2);
        hx_text_str(say, ")");
    }
    hx_text_str(say, ".");
}

static void say_reason(const hx_alert *a, const hx_bundle *b, const expectation *e, hx_text *say)
{
    switch (a->kind) {
    case HX_ALERT_EVENT:
        say_event(a, b, e, say);
        return;
    case HX_ALERT_SESSION:
        hx_text_str(say, "The session is unusual as a whole: over ");
        hx_text_uint(say, a->events);
        hx_text_str(say, " events ");
        hx_text_general(say, a->mean_surprise, 3);
        hx_text_str(say, " nats more surprising an event than usual (the limit is ");
        hx_text_general(say, b->deeplog.session_surprise, 3);
        hx_text_str(say, "); the most surprising was ");
        say_quoted(say, token_text(b, a->worst_token));
        hx_text_str(say, ".");
        return;
    case HX_ALERT_DETECTOR:
        hx_text_bytes(say, a->reason.ptr, a->reason.len);
        return;
    case HX_ALERT_RULE:
        hx_text_str(say, "The line fits the rule ");
        say_quoted(say, hx_slice_str(a->matched->id));
        if (strcmp(a->matched->title, a->matched->id) != 0)
            hx_text_printf(say, ": %s", a->matched->title);
        hx_text_str(say, ".");
        return;
    case HX_ALERT_NEW_KEY:
        hx_text_str(say, "This kind of line is not known from training");
        break;
    case HX_ALERT_NEW_SHAPE:
        hx_text_str(say, "The line fits no template that is known");
        break;
    }
    if (a->since) {
        hx_text_str(say, "; ");
        hx_text_uint(say, a->since);
        hx_text_str(say, " more have come since it was last reported");
    }
    hx_text_str(say, ".");
}

void hx_alert_render(const hx_alert *alert, const hx_bundle *bundle, hx_text *out, uint64_t id[2])
{
    const expectation expected = likeliest(alert, bundle);
    hx_text say = {0};

    make_id(alert, id);
    hx_text_str(out, "{");
    hx_text_json_key(out, "id");
    hx_text_str(out, "\"");
    hx_text_hex(out, id[0]);
    hx_text_hex(out, id[1]);
    hx_text_str(out, "\"");
    hx_text_json_key(out, "time");
    hx_text_json_time(out, alert->time_us);
    hx_text_json_key(out, "detector");
    put_word(out, detector_of(alert));
    hx_text_json_key(out, "rule");
    hx_text_json_string(out, hx_slice_str(rule_of(alert, bundle)));
    if (alert->matched)
        put_matched(alert->matched, out);
    hx_text_json_key(out, "score");
    hx_text_json_number(out, score_of(alert, bundle));
    hx_text_json_key(out, "threshold");
    hx_text_json_number(out, threshold_of(alert, bundle));
    if (alert->opinion_count)
        put_opinions(alert, out);
    hx_text_json_key(out, "stage");
    hx_text_uint(out, (uint64_t)alert->stage);
    hx_text_json_key(out, "severity");
    put_word(out, severity_of(alert, bundle));
    hx_text_json_key(out, "session");
    hx_text_json_string(out, alert->session);
    hx_text_json_key(out, "log_key");
    if (alert->key < bundle->log_keys)
        hx_text_uint(out, alert->key);
    else
        hx_text_str(out, "null");
    hx_text_json_key(out, "template");
    if (alert->key < bundle->log_keys)
        hx_text_json_string(out, token_text(bundle, alert->key));
    else
        hx_text_str(out, "null");
    if (alert->detail.len) {
        hx_text_json_key(out, "detail");
        hx_text_bytes(out, alert->detail.ptr, alert->detail.len);
    }
    if (alert->kind == HX_ALERT_NEW_KEY || alert->kind == HX_ALERT_NEW_SHAPE) {
        hx_text_json_key(out, "since_last_report");
        hx_text_uint(out, alert->since);
    }
    put_expected(&expected, bundle, out);
    put_before(alert, bundle, out);
    put_lines(alert, out);
    hx_text_json_key(out, "bundle");
    put_word(out, bundle->digest);
    say_reason(alert, bundle, &expected, &say);
    hx_text_json_key(out, "reason");
    hx_text_json_string(out, hx_slice_make(say.ptr, say.len));
    hx_text_str(out, "}\n");
    out->failed |= say.failed;
    hx_text_free(&say);
}
