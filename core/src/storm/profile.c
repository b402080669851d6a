/* Profile: from JSON text to the model. Every value is checked here, with the place in the message,
 * so that composing need check nothing. */
#include "storm/fields.h"
#include "storm/reader.h"

#include <stdio.h>
#include <stdlib.h>

enum { PROFILE_FORMAT = 1 };

static int read_hosts(hx_profile *p, const cJSON *root, hx_error *err)
{
    const cJSON *hosts = hx_field_object(root, "hosts", "", err);
    const cJSON *pids = hosts ? hx_field_object(root, "pids", "", err) : NULL;

    if (!hosts || !pids)
        return HX_EINVAL;
    if (hx_field_word(hosts, "prefix", "hosts.", p->host_prefix, sizeof p->host_prefix, err) ||
        hx_field_number(hosts, "count", "hosts.", 1, STORM_HOSTS_MAX, &p->host_count, err) ||
        hx_field_number(pids, "first", "pids.", 1, 4000000, &p->pid_first, err) ||
        hx_field_number(pids, "count", "pids.", 1, STORM_PIDS_MAX, &p->pid_count, err))
        return HX_EINVAL;
    return 0;
}

/* The longest "host process[pid]: " must fit the part of a slot that is kept for it. */
static int check_head(const hx_profile *p, const storm_process *process, const char *where,
                      hx_error *err)
{
    int len = snprintf(NULL, 0, "%s%02u %s[%u]: ", p->host_prefix, p->host_count, process->name,
                       p->pid_first + p->pid_count);

    if (len <= STORM_HEAD_BYTES)
        return 0;
    return hx_error_set(err, HX_EINVAL,
                        "%sname: host, process and pid together can take %d bytes, at most %d",
                        where, len, STORM_HEAD_BYTES);
}

/* What stands between host and pid, or between host and message. */
static void lead_write(storm_process *process, uint32_t layout, const char *after)
{
    size_t name_len = strlen(process->name), after_len = strlen(after);
    char *lead = process->lead[layout];

    lead[0] = ' ';
    memcpy(lead + 1, process->name, name_len);
    memcpy(lead + 1 + name_len, after, after_len);
    process->lead_len[layout] = (uint8_t)(1 + name_len + after_len);
}

static int read_process(hx_profile *p, const cJSON *item, const char *where, hx_error *err)
{
    storm_process *process = &p->processes[p->process_count];
    uint32_t facility;
    int rc = hx_field_word(item, "name", where, process->name, sizeof process->name, err);

    if (!rc)
        rc = hx_field_number(item, "facility", where, 0, 23, &facility, err);
    if (!rc)
        rc = hx_field_bool(item, "pid", where, &process->has_pid, err);
    if (!rc)
        rc = hx_field_word(item, "msgid", where, process->msgid, sizeof process->msgid, err);
    if (!rc)
        rc = hx_field_text(item, "structured_data", where, process->structured_data,
                           sizeof process->structured_data, err);
    if (!rc)
        rc = check_head(p, process, where, err);
    if (rc)
        return rc;
    const char *sd = process->structured_data;
    if (strcmp(sd, "-") != 0 && (sd[0] != '[' || sd[strlen(sd) - 1] != ']'))
        return hx_error_set(err, HX_EINVAL, "%sstructured_data: neither \"-\" nor in brackets",
                            where);
    for (uint32_t i = 0; i < p->process_count; i++)
        if (strcmp(p->processes[i].name, process->name) == 0)
            return hx_error_set(err, HX_EINVAL, "%sname: \"%s\" is there twice", where,
                                process->name);
    process->facility = (uint8_t)facility;
    lead_write(process, 0, process->has_pid ? "[" : ": ");
    lead_write(process, 1, process->has_pid ? " " : " - ");
    p->process_count++;
    return 0;
}

int hx_storm_process_find(const hx_profile *p, const cJSON *item, const char *where, uint16_t *out,
                          hx_error *err)
{
    char name[STORM_NAME_MAX + 2];
    int rc = hx_field_word(item, "process", where, name, sizeof name, err);

    if (rc)
        return rc;
    for (uint32_t i = 0; i < p->process_count; i++) {
        if (strcmp(p->processes[i].name, name) == 0) {
            *out = (uint16_t)i;
            return 0;
        }
    }
    return hx_error_set(err, HX_EINVAL, "%sprocess: \"%s\" is not among the processes", where,
                        name);
}

/* The same text of the same process has the same number: that is what makes two steps alike. */
int hx_storm_message_intern(hx_profile *p, uint16_t process, uint32_t severity, const cJSON *text,
                            const char *where, uint16_t *out, hx_error *err)
{
    if (!cJSON_IsString(text) || hx_field_check_text(text->valuestring, STORM_TEXT_BYTES_MAX) != 0)
        return hx_error_set(err, HX_EINVAL, "%s: not a text of 1 to %d printable bytes", where,
                            STORM_TEXT_BYTES_MAX);
    for (uint32_t i = 0; i < p->message_count; i++) {
        storm_message *m = &p->messages[i];
        if (m->process != process || strcmp(m->text, text->valuestring) != 0)
            continue;
        if (m->severity != severity)
            return hx_error_set(err, HX_EINVAL, "%s: the same text has another severity elsewhere",
                                where);
        *out = (uint16_t)i;
        return 0;
    }
    if (p->message_count == STORM_TEXTS_MAX)
        return hx_error_set(err, HX_EINVAL, "%s: more than %d texts", where, STORM_TEXTS_MAX);
    storm_message *m = &p->messages[p->message_count];
    m->text = strdup(text->valuestring);
    if (!m->text)
        return HX_ENOMEM;
    m->process = process;
    m->severity = (uint8_t)severity;
    *out = (uint16_t)p->message_count++;
    return hx_storm_text_compile(p, *out, where, err);
}

static int read_step(hx_profile *p, uint16_t process, const cJSON *item, const char *where,
                     hx_error *err)
{
    const cJSON *texts = cJSON_GetObjectItemCaseSensitive(item, "texts"), *text;
    storm_step step = {p->ref_count, 0};
    uint32_t severity;
    int rc = hx_field_number(item, "severity", where, 0, 7, &severity, err);

    if (!rc)
        rc =
            hx_storm_reserve((void **)&p->steps, &p->step_room, p->step_count, 1, sizeof *p->steps);
    if (rc)
        return rc;
    cJSON_ArrayForEach(text, texts)
    {
        char place[128];

        snprintf(place, sizeof place, "%.100stexts[%u]", where, step.count);
        rc = hx_storm_reserve((void **)&p->text_refs, &p->ref_room, p->ref_count, 1,
                              sizeof *p->text_refs);
        if (!rc)
            rc = hx_storm_message_intern(p, process, severity, text, place,
                                         &p->text_refs[p->ref_count], err);
        if (rc)
            return rc;
        p->messages[p->text_refs[p->ref_count++]].normal = true;
        step.count++;
    }
    if (step.count == 0)
        return hx_error_set(err, HX_EINVAL, "%stexts: not a list with a text", where);
    p->steps[p->step_count++] = step;
    return 0;
}

static int read_flow(hx_profile *p, const cJSON *item, const char *where, hx_error *err)
{
    const cJSON *steps = cJSON_GetObjectItemCaseSensitive(item, "steps"), *step;
    const cJSON *share = cJSON_GetObjectItemCaseSensitive(item, "share");
    storm_flow flow = {.first_step = p->step_count};
    int rc = hx_storm_process_find(p, item, where, &flow.process, err);

    if (rc)
        return rc;
    if (!cJSON_IsNumber(share) || !(share->valuedouble > 0 && share->valuedouble <= 1e6))
        return hx_error_set(err, HX_EINVAL, "%sshare: not a number above 0, at most 1000000",
                            where);
    flow.share = share->valuedouble;
    cJSON_ArrayForEach(step, steps)
    {
        char place[96];

        if (flow.step_count == STORM_STEPS_MAX)
            return hx_error_set(err, HX_EINVAL, "%ssteps: more than %d", where, STORM_STEPS_MAX);
        snprintf(place, sizeof place, "%.64ssteps[%u].", where, flow.step_count);
        rc = read_step(p, flow.process, step, place, err);
        if (rc)
            return rc;
        flow.step_count++;
    }
    if (flow.step_count == 0)
        return hx_error_set(err, HX_EINVAL, "%ssteps: not a list with a step", where);
    rc = hx_storm_reserve((void **)&p->flows, &p->flow_room, p->flow_count, 1, sizeof *p->flows);
    if (!rc)
        p->flows[p->flow_count++] = flow;
    return rc;
}

/* One list of the profile: what holds an item, how many there may be, who reads it. */
typedef struct section {
    const char *key;
    uint32_t most;
    bool may_be_empty;
    int (*read)(hx_profile *p, const cJSON *item, const char *where, hx_error *err);
} section;

static const section sections[] = {
    {"processes", STORM_PROCESSES_MAX, false, read_process},
    {"variables", STORM_VARIABLES_MAX, true, hx_storm_variable_read},
    {"flows", STORM_FLOWS_MAX, false, read_flow},
    {"never", STORM_RULES_MAX, true, hx_storm_never_read},
    {"failures", STORM_RULES_MAX, true, hx_storm_failure_read},
    {"values", STORM_RULES_MAX, true, hx_storm_value_read},
    {"bursts", STORM_RULES_MAX, true, hx_storm_burst_read},
};

static int read_sections(hx_profile *p, const cJSON *root, hx_error *err)
{
    for (size_t s = 0; s < sizeof sections / sizeof *sections; s++) {
        const section *kind = &sections[s];
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(root, kind->key), *item;
        uint32_t i = 0;

        if (list && !cJSON_IsArray(list))
            return hx_error_set(err, HX_EINVAL, "%s: not a list", kind->key);
        cJSON_ArrayForEach(item, list)
        {
            char where[48];
            int rc;

            snprintf(where, sizeof where, "%s[%u].", kind->key, i);
            if (i++ == kind->most)
                return hx_error_set(err, HX_EINVAL, "%s: more than %u", kind->key, kind->most);
            rc = kind->read(p, item, where, err);
            if (rc)
                return rc;
        }
        if (i == 0 && !kind->may_be_empty)
            return hx_error_set(err, HX_EINVAL, "%s: empty or not there", kind->key);
    }
    return 0;
}

static int profile_allocate(hx_profile *p)
{
    p->processes = calloc(STORM_PROCESSES_MAX, sizeof *p->processes);
    p->variables = calloc(STORM_VARIABLES_MAX + STORM_RULES_MAX, sizeof *p->variables);
    p->messages = calloc(STORM_TEXTS_MAX, sizeof *p->messages);
    p->texts[0] = calloc(STORM_TEXTS_MAX, sizeof *p->texts[0]);
    p->texts[1] = calloc(STORM_TEXTS_MAX, sizeof *p->texts[1]);
    p->rules = calloc(3 * STORM_RULES_MAX, sizeof *p->rules);
    p->bursts = calloc(STORM_RULES_MAX, sizeof *p->bursts);
    if (!p->processes || !p->variables || !p->messages || !p->texts[0] || !p->texts[1] ||
        !p->rules || !p->bursts)
        return HX_ENOMEM;
    /* Texts without a value point to the first piece all the same. */
    return hx_storm_reserve((void **)&p->pieces, &p->piece_room, 0, 1, sizeof *p->pieces);
}

static int profile_read(hx_profile *p, const cJSON *root, hx_error *err)
{
    const cJSON *format = cJSON_GetObjectItemCaseSensitive(root, "format");
    int rc = profile_allocate(p);

    if (rc)
        return rc;
    if (!cJSON_IsObject(root))
        return hx_error_set(err, HX_EMALFORMED, "profile: not a JSON object");
    if (!cJSON_IsNumber(format) || format->valueint != PROFILE_FORMAT)
        return hx_error_set(err, HX_EVERSION, "profile: format: not %d, the one that is understood",
                            PROFILE_FORMAT);
    rc = hx_field_word(root, "name", "", p->name, sizeof p->name, err);
    if (!rc)
        rc = read_hosts(p, root, err);
    if (!rc)
        rc = read_sections(p, root, err);
    if (rc)
        return rc;
    p->normal_count = p->flow_count;
    for (uint32_t i = 0; i < p->message_count; i++) {
        uint32_t len = p->messages[i].max_len + STORM_HEAD_BYTES + 5 + 30; /* PRI and timestamp */
        p->line_max = len > p->line_max ? len : p->line_max;
    }
    return hx_storm_mutants_make(p, err);
}

int hx_profile_create(const char *json, size_t json_len, hx_profile **out, hx_error *err)
{
    hx_profile *p;
    cJSON *root;
    int rc;

    if (err)
        err->text[0] = '\0';
    if (json_len > HX_PROFILE_BYTES_MAX)
        return hx_error_set(err, HX_EINVAL, "profile: %zu bytes, at most %u", json_len,
                            HX_PROFILE_BYTES_MAX);
    root = cJSON_ParseWithLength(json, json_len);
    if (!root)
        return hx_error_set(err, HX_EMALFORMED, "profile: not JSON text");
    p = calloc(1, sizeof *p);
    rc = p ? profile_read(p, root, err) : HX_ENOMEM;
    cJSON_Delete(root);
    if (rc) {
        if (err && !err->text[0])
            hx_error_set(err, rc, "profile: %s", hx_strerror(rc));
        hx_profile_destroy(p);
        return rc;
    }
    *out = p;
    return 0;
}

void hx_profile_destroy(hx_profile *p)
{
    if (!p)
        return;
    for (uint32_t i = 0; i < p->variable_count; i++)
        hx_storm_variable_clear(&p->variables[i]);
    for (uint32_t i = 0; i < p->message_count; i++)
        free(p->messages[i].text);
    free(p->processes);
    free(p->variables);
    free(p->messages);
    free(p->texts[0]);
    free(p->texts[1]);
    free(p->pieces);
    free(p->literals);
    free(p->text_refs);
    free(p->steps);
    free(p->flows);
    free(p->groups);
    free(p->rules);
    free(p->bursts);
    free(p);
}

hx_profile_facts hx_profile_facts_get(const hx_profile *p)
{
    hx_profile_facts facts = {
        .name = p->name,
        .hosts = p->host_count,
        .pids = p->pid_count,
        .processes = p->process_count,
        .flows = p->normal_count,
        .mutants = p->flow_count - p->normal_count,
        .line_bytes = p->line_max,
    };

    for (uint32_t i = 0; i < p->message_count; i++)
        facts.texts += p->messages[i].normal;
    return facts;
}
