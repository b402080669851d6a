/* What is said of a pair that was never seen together. */
#include "detect/combos_parts.h"

#include <haechi/hash.h>

#define SHOWN_MAX 120 /* bytes of a name in the reason */

typedef struct combo_words {
    const char *rule;
    const char *kind, *first, *second; /* of the detail */
    const char *never;                 /* %.*s: the first, then the second */
    const char *of_first, *of_second;
} combo_words;

static const combo_words words[HX_COMBO_KINDS] = {
    [HX_COMBO_HOST_PROCESS] = {"new_pair", "host_process", "host", "process",
                               "The host %.*s was never seen with the process %.*s",
                               "usual there are ", "it is usual on "},
    [HX_COMBO_PROCESS_KEY] = {"new_pair", "process_key", "process", "template",
                              "The process %.*s was never seen to say \"%.*s\"", "it usually says ",
                              "usually that is said by "},
    [HX_COMBO_HOST_USER] = {"new_user_of_host", "host_user", "host", "user",
                            "The host %.*s was never seen with the user %.*s", "usual there are ",
                            "that user is usual on "},
    [HX_COMBO_PROCESS_USER] = {"new_user_of_process", "process_user", "process", "user",
                               "The process %.*s was never seen with the user %.*s",
                               "its usual ones are ", "that user is usual with "},
};

static int shown(const hx_combo_member *member)
{
    return (int)(member->len < SHOWN_MAX ? member->len : SHOWN_MAX);
}

static void list_usual(const hx_combo_member *member, hx_text *reason)
{
    for (uint32_t i = 0; i < member->usual_count; i++)
        hx_text_printf(reason, "%s\"%.*s\"", i ? ", " : "", SHOWN_MAX, member->usual[i]);
}

static void put_member(const char *key, const hx_combo_member *member, hx_text *detail)
{
    hx_text_printf(detail, ", \"%s\": ", key);
    hx_text_json_string(detail, hx_slice_make(member->name, member->len));
    hx_text_printf(detail, ", \"%s_usual\": [", key);
    for (uint32_t i = 0; i < member->usual_count; i++) {
        hx_text_str(detail, i ? ", " : "");
        hx_text_json_string(detail, hx_slice_str(member->usual[i]));
    }
    hx_text_str(detail, "]");
}

static void report_pair(hx_combo_kind kind, const hx_combo_member *first,
                        const hx_combo_member *second, const hx_event *e, hx_reporter *reporter)
{
    const combo_words *w = &words[kind];
    const hx_combo_member *sure = first->nats > second->nats ? first : second;
    hx_text reason = {0}, detail = {0};

    hx_text_printf(&reason, w->never, shown(first), first->name, shown(second), second->name);
    hx_text_printf(&reason, "; %s", w->of_first);
    list_usual(first, &reason);
    if (second->usual_count) {
        hx_text_printf(&reason, ", and %s", w->of_second);
        list_usual(second, &reason);
    } else {
        hx_text_str(&reason, ", and nothing is known of that one");
    }
    hx_text_str(&reason, ".");
    hx_text_printf(&detail, "{\"pair\": \"%s\"", w->kind);
    put_member(w->first, first, &detail);
    put_member(w->second, second, &detail);
    hx_text_str(&detail, "}");
    reporter->report(
        reporter, e, e->time_us,
        &(hx_finding){.rule = w->rule,
                      .score = sure->nats,
                      .limit = sure->limit,
                      .evidence = sure->nats,
                      .detail = hx_slice_make(detail.ptr, detail.failed ? 0 : detail.len),
                      .reason = hx_slice_make(reason.ptr, reason.failed ? 0 : reason.len)});
    hx_text_free(&reason);
    hx_text_free(&detail);
}

/* The upper half says whose it is: the process's owner's, or the host's. */
static uint64_t id_of(hx_combo_kind kind, const hx_event *e, const hx_combo_member *first,
                      const hx_combo_member *second)
{
    const uint64_t whose = kind == HX_COMBO_HOST_USER ? (uint64_t)e->host << 32 : e->process;
    uint64_t h = hx_hash_u64(hx_hash_bytes(first->name, first->len, HX_HASH_SEED), kind);

    h = hx_hash_bytes(second->name, second->len, h);
    return (whose & UINT64_C(0xffffffff00000000)) | (uint32_t)h;
}

void hx_combos_report(const hx_combos_model *m, combos_state *s, hx_combo_kind kind,
                      const hx_event *e, const hx_combo_member *first,
                      const hx_combo_member *second, hx_reporter *reporter)
{
    uint64_t since;

    if (hx_novelty_note(&s->reported, id_of(kind, e, first, second), e->time_us, m->repeat_us,
                        &since))
        report_pair(kind, first, second, e, reporter);
}

bool hx_combos_judge(const hx_combos_model *m, combos_state *s, hx_combo_kind kind,
                     const hx_event *e, const hx_combo_member *first, const hx_combo_member *second,
                     hx_reporter *reporter)
{
    if (!first || !second || !(first->settled || second->settled) ||
        hx_combo_seen(&m->set[kind], first, second))
        return false;
    hx_combos_report(m, s, kind, e, first, second, reporter);
    return true;
}
