/* Lines judged by rules where they are read. */
#include "detect/front_parts.h"

void hx_front_rule(hx_front *front, hx_front_rules *rules)
{
    front->rules = rules;
}

/* What the seat may note by the message's form; what others have noted there is gone. */
static uint32_t *note_for_rules(hx_front *f)
{
    const uint64_t stamp = hx_rule_seat_stamp(f->rules->seat);

    if (__builtin_expect(f->noted_by != stamp, 0)) {
        hx_matcher_forget_notes(f->match);
        f->noted_by = stamp;
    }
    return f->format ? hx_matcher_note(f->match) : NULL;
}

static uint32_t number_of(uint8_t value)
{
    return value == HX_PRI_NONE ? HX_RULE_NUMBER_NONE : value;
}

static hx_rule_line line_for_rules(const hx_front *f, const char *buffer, const front_line *l)
{
    hx_rule_line line = {.number = {HX_RULE_NUMBER_NONE, HX_RULE_NUMBER_NONE, HX_RULE_NUMBER_NONE}};

    line.text[HX_RULE_LINE] = hx_slice_make(buffer + l->at, l->length);
    line.text[HX_RULE_SOURCE] = f->rules->source;
    if (!f->format)
        return line;
    line.text[HX_RULE_MESSAGE] = l->record.message;
    line.text[HX_RULE_HOST] = l->record.host;
    line.text[HX_RULE_PROCESS] = l->record.process;
    line.text[HX_RULE_PID] = l->record.pid;
    line.number[HX_RULE_SEVERITY - HX_RULE_TEXTS] = number_of(l->record.severity);
    line.number[HX_RULE_FACILITY - HX_RULE_TEXTS] = number_of(l->record.facility);
    return line;
}

static void put_event(const hx_front *f, const hx_event *e, hx_rule_line *line)
{
    const bool known = e->key != HX_KEY_UNSEEN;

    line->text[HX_RULE_SESSION] = hx_slice_make(e->name, e->name_len);
    line->text[HX_RULE_TEMPLATE] = known && hx_rules_use(f->rules->rules, HX_RULE_TEMPLATE) &&
                                           hx_matcher_text(f->matcher, e->key)
                                       ? hx_slice_str(hx_matcher_text(f->matcher, e->key))
                                       : (hx_slice){0};
    line->number[HX_RULE_LOG_KEY - HX_RULE_TEXTS] = known ? e->key : HX_RULE_NUMBER_NONE;
}

/* line_began: the first ruling of the same line. */
static bool denied_before(const hx_front_rules *r, uint32_t line_began, uint32_t rule)
{
    for (uint32_t i = line_began; i < r->count; i++)
        if (r->rulings[i].rule == rule)
            return true;
    return false;
}

static void note_ruling(hx_front_rules *r, uint32_t event, uint32_t line_began,
                        const hx_ruled *ruled)
{
    hx_ruling ruling = {event, HX_NO_RULE, ruled->allow, ruled->escalate};
    const uint32_t before = r->count;

    for (uint32_t i = 0; i < ruled->denied_count; i++) {
        if (denied_before(r, line_began, ruled->denied[i]))
            continue;
        ruling.rule = ruled->denied[i];
        r->rulings[r->count++] = ruling;
    }
    ruling.rule = HX_NO_RULE;
    if (r->count == before && (ruled->allow || ruled->escalate))
        r->rulings[r->count++] = ruling;
}

void hx_front_judge(hx_front *f, const char *buffer, const front_line *l, const hx_event *events,
                    uint32_t first, uint32_t made)
{
    hx_front_rules *r = f->rules;
    const uint32_t line_began = r->count;
    const bool differ = !f->format || hx_rules_use(r->rules, HX_RULE_SESSION);
    hx_rule_line line = line_for_rules(f, buffer, l);
    const hx_ruled *ruled = NULL;

    for (uint32_t i = first; i < first + made; i++) {
        if (i == first || differ) {
            put_event(f, &events[i], &line);
            line.note = note_for_rules(f);
            ruled = hx_rule_seat_judge(r->seat, &line, f->format ? &l->rule_place : NULL);
            r->over += ruled ? ruled->denied_over : 0;
        }
        if (ruled)
            note_ruling(r, i, line_began, ruled);
    }
}
