/* Rules: the anomalies of a profile's own, read and checked. */
#include "storm/fields.h"
#include "storm/reader.h"

#include <stdio.h>

static int read_technique(const cJSON *item, const char *where, char *out, size_t room,
                          hx_error *err)
{
    const cJSON *technique = cJSON_GetObjectItemCaseSensitive(item, "technique");

    if (!technique || cJSON_IsNull(technique)) {
        *out = '\0';
        return 0;
    }
    return hx_field_word(item, "technique", where, out, room, err);
}

/* process, severity, technique and text, which all rules have. */
static int read_message(hx_profile *p, const cJSON *item, const char *where, storm_rule *rule,
                        hx_error *err)
{
    uint32_t severity;
    char place[96];
    int rc = hx_storm_process_find(p, item, where, &rule->process, err);

    if (!rc)
        rc = hx_field_number(item, "severity", where, 0, 7, &severity, err);
    if (!rc)
        rc = read_technique(item, where, rule->technique, sizeof rule->technique, err);
    snprintf(place, sizeof place, "%.80stext", where);
    return rc ? rc
              : hx_storm_message_intern(p, rule->process, severity,
                                        cJSON_GetObjectItemCaseSensitive(item, "text"), place,
                                        &rule->text, err);
}

static int read_times(const cJSON *item, const char *where, uint32_t most, storm_rule *rule,
                      hx_error *err)
{
    const cJSON *times = cJSON_GetObjectItemCaseSensitive(item, "times");

    if (cJSON_GetArraySize(times) != 2 || !cJSON_IsNumber(times->child) ||
        !cJSON_IsNumber(times->child->next) || times->child->valueint < 2 ||
        times->child->valueint > times->child->next->valueint ||
        times->child->next->valueint > (int)most)
        return hx_error_set(err, HX_EINVAL, "%stimes: not two numbers from 2 to %u, in order",
                            where, most);
    rule->times_min = (uint32_t)times->child->valueint;
    rule->times_max = (uint32_t)times->child->next->valueint;
    return 0;
}

int hx_storm_never_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err)
{
    storm_rule *rule = &p->rules[p->rule_count];
    int rc = read_message(p, item, where, rule, err);

    rule->kind = STORM_NEVER_SEEN;
    if (!rc && p->messages[rule->text].normal)
        rc = hx_error_set(err, HX_EINVAL, "%stext: normal traffic says the same", where);
    p->rule_count += !rc;
    return rc;
}

int hx_storm_failure_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err)
{
    storm_rule *rule = &p->rules[p->rule_count];
    int rc = read_message(p, item, where, rule, err);

    rule->kind = STORM_REPEATED;
    if (!rc && !p->messages[rule->text].normal)
        rc = hx_error_set(err, HX_EINVAL, "%stext: no flow of this process says it", where);
    if (!rc)
        rc = read_times(item, where, STORM_REPEATS_MAX, rule, err);
    p->rule_count += !rc;
    return rc;
}

int hx_storm_burst_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err)
{
    storm_rule *rule = &p->bursts[p->burst_count];
    int rc = read_message(p, item, where, rule, err);

    if (!rc)
        rc = read_times(item, where, STORM_BURST_MAX, rule, err);
    if (!rc && !p->processes[rule->process].has_pid)
        rc = hx_error_set(err, HX_EINVAL,
                          "%sprocess: %s has no pid, but each message of a burst needs one of its "
                          "own",
                          where, p->processes[rule->process].name);
    if (!rc && rule->times_max > p->pid_count / 2)
        rc = hx_error_set(err, HX_EINVAL,
                          "%stimes: %u messages need as many process ids of their own, which may "
                          "be half of the %u there are (pids.count)",
                          where, rule->times_max, p->pid_count);
    p->burst_count += !rc;
    return rc;
}

/* --- values ------------------------------------------------------------------------------------
 */

/* The normal message whose text the rule names. */
static int normal_find(const hx_profile *p, const cJSON *item, const char *where, storm_rule *rule,
                       hx_error *err)
{
    const cJSON *text = cJSON_GetObjectItemCaseSensitive(item, "text");
    uint32_t severity;

    for (uint32_t i = 0; i < p->message_count && cJSON_IsString(text); i++) {
        const storm_message *m = &p->messages[i];
        if (!m->normal || m->process != rule->process || strcmp(m->text, text->valuestring) != 0)
            continue;
        rule->normal = (uint16_t)i;
        if (!cJSON_GetObjectItemCaseSensitive(item, "severity"))
            return 0;
        if (hx_field_number(item, "severity", where, 0, 7, &severity, err))
            return HX_EINVAL;
        if (severity != m->severity)
            return hx_error_set(err, HX_EINVAL, "%sseverity: normal traffic says the text with %u",
                                where, m->severity);
        return 0;
    }
    return hx_error_set(err, HX_EINVAL, "%stext: not a text that a flow of %s says", where,
                        p->processes[rule->process].name);
}

static bool text_has(const char *text, const char *variable)
{
    size_t len = strlen(variable);

    while ((text = strchr(text, '{'))) {
        if (text[1] == '{') {
            text += 2;
            continue;
        }
        if (strncmp(text + 1, variable, len) == 0 && text[1 + len] == '}')
            return true;
        text++;
    }
    return false;
}

static int variable_find(const hx_profile *p, const cJSON *item, const char *where,
                         const storm_rule *rule, uint16_t *out, hx_error *err)
{
    char name[STORM_NAME_MAX + 2];
    int rc = hx_field_word(item, "variable", where, name, sizeof name, err);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < p->variable_count; i++) {
        if (strcmp(p->variables[i].name, name) == 0 &&
            text_has(p->messages[rule->normal].text, name)) {
            *out = (uint16_t)i;
            return 0;
        }
    }
    return hx_error_set(err, HX_EINVAL, "%svariable: {%s} is not in the text", where, name);
}

static int check_choice(const storm_variable *normal, const cJSON *choice, const char *where,
                        hx_error *err)
{
    const cJSON *value;

    cJSON_ArrayForEach(value, choice)
    {
        if (hx_storm_variable_may_be(normal, value->valuestring))
            return hx_error_set(err, HX_EINVAL,
                                "%schoice: normal traffic has the value \"%.60s\" as well", where,
                                value->valuestring);
    }
    return 0;
}

/* The variable that stands for the normal one. It has no name, so that no text finds it. */
static int read_values(hx_profile *p, const cJSON *item, const char *where, uint16_t normal,
                       hx_error *err)
{
    const cJSON *choice = cJSON_GetObjectItemCaseSensitive(item, "choice");
    const cJSON *range = cJSON_GetObjectItemCaseSensitive(item, "range");
    storm_variable *v = &p->variables[p->variable_count];
    int rc;

    if (!choice == !range)
        return hx_error_set(err, HX_EINVAL, "%srange: not exactly one of range and choice", where);
    p->variable_count++; /* from here on its tables are freed with the profile */
    v->of_session = p->variables[normal].of_session;
    if (choice) {
        rc = hx_storm_choice_read(v, choice, where, err);
        return rc ? rc : check_choice(&p->variables[normal], choice, where, err);
    }
    rc = hx_storm_range_read(v, range, where, err);
    if (!rc && hx_storm_variable_may_be_of(&p->variables[normal], v->low, v->high))
        rc =
            hx_error_set(err, HX_EINVAL, "%srange: normal traffic has values from %u to %u as well",
                         where, v->low, v->high);
    return rc;
}

/* A message of its own: the normal one, with other values for one variable. */
static int message_add(hx_profile *p, const storm_message *normal, uint16_t replaced,
                       const char *where, uint16_t *out, hx_error *err)
{
    storm_message *m = &p->messages[p->message_count];
    char place[96];

    snprintf(place, sizeof place, "%.80stext", where);
    if (p->message_count == STORM_TEXTS_MAX)
        return hx_error_set(err, HX_EINVAL, "%s: more than %d texts", place, STORM_TEXTS_MAX);
    m->text = strdup(normal->text);
    if (!m->text)
        return HX_ENOMEM;
    m->process = normal->process;
    m->severity = normal->severity;
    m->replaced = replaced;
    m->by = (uint16_t)(p->variable_count - 1);
    *out = (uint16_t)p->message_count++;
    return hx_storm_text_compile(p, *out, place, err);
}

int hx_storm_value_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err)
{
    storm_rule *rule = &p->rules[p->rule_count];
    uint16_t variable = 0;
    int rc = hx_storm_process_find(p, item, where, &rule->process, err);

    rule->kind = STORM_VALUE;
    if (!rc)
        rc = normal_find(p, item, where, rule, err);
    if (!rc)
        rc = read_technique(item, where, rule->technique, sizeof rule->technique, err);
    if (!rc)
        rc = variable_find(p, item, where, rule, &variable, err);
    if (!rc)
        rc = read_values(p, item, where, variable, err);
    if (!rc)
        rc = message_add(p, &p->messages[rule->normal], variable, where, &rule->text, err);
    p->rule_count += !rc;
    return rc;
}
