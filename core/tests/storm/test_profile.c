/* Profiles that are refused, each with a sentence that names the key, and what a good one holds. */
#include "../check.h"
#include "small.h"

#include <haechi/storm.h>

static void replace(const char *from, const char *to, char *out, size_t room)
{
    const char *text = SMALL_PROFILE;
    const char *at = strstr(text, from);

    CHECK(at != NULL);
    snprintf(out, room, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
}

/* One change to the good profile, and what the refusal has to say. */
static const struct {
    const char *from, *to;
    int code;
    const char *says;
} refusals[] = {
    {"{\"format\"", "[\"format\"", HX_EMALFORMED, "not JSON"},
    {"\"format\": 1", "\"format\": 2", HX_EVERSION, "format"},
    {"\"format\": 1", "\"format\": \"1\"", HX_EVERSION, "format"},
    {"\"name\": \"small\"", "\"name\": 7", HX_EINVAL, "name"},
    {"\"name\": \"small\"", "\"name\": \"\"", HX_EINVAL, "name"},
    {"\"name\": \"small\"", "\"name\": \"a b\"", HX_EINVAL, "name"},
    {"\"count\": 40", "\"count\": 0", HX_EINVAL, "hosts.count"},
    {"\"count\": 40", "\"count\": 1e9", HX_EINVAL, "hosts.count"},
    {"\"count\": 40", "\"count\": 1.5", HX_EINVAL, "hosts.count"},
    {"\"count\": 40", "\"count\": -1", HX_EINVAL, "hosts.count"},
    {"\"first\": 95", "\"first\": null", HX_EINVAL, "pids.first"},
    {"\"hosts\": {", "\"hosts\": 1, \"h\": {", HX_EINVAL, "hosts"},
    {"\"node\"", "\"a-name-that-is-far-too-long\"", HX_EINVAL, "hosts.prefix"},
    {"\"name\": \"sshd\"", "\"name\": \"a-process-of-28-characters--\"", HX_EINVAL,
     "processes[1].name"},
    {"\"name\": \"app\"", "\"name\": \"a-process-of-27-characters-\"", HX_EINVAL,
     "flows[0].process"},
    {"\"name\": \"sshd\"", "\"name\": \"a-process-of-27-characters-\"", HX_EINVAL,
     "flows[2].process"},
    {"\"node\"", "\"no de\"", HX_EINVAL, "hosts.prefix"},
    {"\"facility\": 10", "\"facility\": 24", HX_EINVAL, "processes[1].facility"},
    {"\"name\": \"sshd\"", "\"name\": \"app\"", HX_EINVAL, "processes[1].name"},
    {"\"pid\": false", "\"pid\": 0", HX_EINVAL, "processes[2].pid"},
    {"\"[x@1 a=\\\"b\\\"]\"", "\"x\"", HX_EINVAL, "structured_data"},
    {"\"scope\": \"session\"", "\"scope\": \"day\"", HX_EINVAL, "variables[0].scope"},
    {"[\"kim\", ", "[\"\\u0007\", ", HX_EINVAL, "variables[0].choice[0]"},
    {"\"choice\": [", "\"choice\": 1, \"c\": [", HX_EINVAL, "variables[0].choice"},
    {"\"range\": [0, 99999999]", "\"range\": [0, 100000000]", HX_EINVAL, "variables[1].range"},
    {"\"range\": [9, 11]", "\"range\": [11, 9]", HX_EINVAL, "variables[2].range"},
    {"\"range\": [9, 11]", "\"range\": [9]", HX_EINVAL, "variables[2].range"},
    {"\"range\": [9, 11]", "\"range\": [-1, 11]", HX_EINVAL, "variables[2].range"},
    {"\"range\": [9, 11]", "\"unknown\": 1", HX_EINVAL, "variables[2]"},
    {"10.20.0.0/16", "10.20.0.0/12", HX_EINVAL, "variables[3].ipv4"},
    {"10.20.0.0/16", "10.256.0.0/16", HX_EINVAL, "variables[3].ipv4"},
    {"10.20.0.0/16", "10.20.0.0/16 ", HX_EINVAL, "variables[3].ipv4"},
    {"\"hex\"", "\"hexe\"", HX_EINVAL, "variables[4].random"},
    {"\"length\": 40", "\"length\": 65", HX_EINVAL, "variables[4].length"},
    {"\"process\": \"app\", \"share\": 30", "\"process\": \"ape\", \"share\": 30", HX_EINVAL,
     "flows[0].process"},
    {"\"share\": 30", "\"share\": 0", HX_EINVAL, "flows[0].share"},
    {"\"share\": 30", "\"share\": \"x\"", HX_EINVAL, "flows[0].share"},
    {"\"toil {few}\"", "\"toil {fewer}\"", HX_EINVAL, "flows[0].steps[1].texts[1]"},
    {"\"toil {few}\"", "\"toil {few\"", HX_EINVAL, "flows[0].steps[1].texts[1]"},
    {"\"toil {few}\"", "\"toil few}\"", HX_EINVAL, "flows[0].steps[1].texts[1]"},
    {"\"toil {few}\"", "\"toil\\n\"", HX_EINVAL, "flows[0].steps[1].texts[1]"},
    {"\"toil {few}\"", "\"\"", HX_EINVAL, "flows[0].steps[1].texts[1]"},
    {"{\"severity\": 5, \"texts\": [\"ok", "{\"severity\": 8, \"texts\": [\"ok", HX_EINVAL,
     "flows[2].steps[2].severity"},
    {"[\"link up\"]", "[]", HX_EINVAL, "flows[4].steps[0].texts"},
    {"\"flows\": [", "\"flows\": [], \"f\": [", HX_EINVAL, "flows"},
    {"\"planted {n}\"", "\"bye\"", HX_EINVAL, "never[0].text"},
    {"\"times\": [8, 20]", "\"times\": [8, 2000]", HX_EINVAL, "failures[0].times"},
    {"\"times\": [8, 20]", "\"times\": [2, 20]", HX_EINVAL, "in a row is normal"},
    {"\"technique\": \"T1110\"", "\"technique\": 1110", HX_EINVAL, "failures[0].technique"},
};

static void test_refusals(void)
{
    char text[sizeof SMALL_PROFILE + 256];

    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
        hx_profile *profile = NULL;
        hx_error err;

        replace(refusals[i].from, refusals[i].to, text, sizeof text);
        int code = hx_profile_create(text, strlen(text), &profile, &err);
        if (code != refusals[i].code || !strstr(err.text, refusals[i].says)) {
            fprintf(stderr, "%s -> %s: code %d, \"%s\"\n", refusals[i].from, refusals[i].to, code,
                    err.text);
            exit(1);
        }
        CHECK(profile == NULL);
    }
}

/* Whatever the cut, it is refused or it is read, and nothing is leaked. */
static void test_truncation(void)
{
    for (size_t len = 0; len < sizeof SMALL_PROFILE - 1; len += 7) {
        hx_profile *profile = NULL;
        char *copy = check_guard_copy(SMALL_PROFILE, len);

        CHECK(hx_profile_create(copy, len, &profile, NULL) != 0);
        check_guard_free(copy, len);
    }
}

static void test_facts(void)
{
    hx_profile *profile;
    hx_error err;

    CHECK_INT(hx_profile_create(SMALL_PROFILE, sizeof SMALL_PROFILE - 1, &profile, &err), 0);
    hx_profile_facts facts = hx_profile_facts_get(profile);
    CHECK(strcmp(facts.name, "small") == 0);
    CHECK_INT(facts.hosts, 40);
    CHECK_INT(facts.pids, 500);
    CHECK_INT(facts.processes, 3);
    CHECK_INT(facts.flows, 5);
    CHECK_INT(facts.texts, 11);
    /* step_skipped: begin of request (its middle left out is the flow "short", so that is no
     * mutant), begin of short, the ok and neither fail of login, hot and hotter of heat: 5; the
     * order: the three pairs of request, the one of short, five of login (the two fails are alike),
     * three of heat: 12; the message never seen: one for the login flow; the failure: 8 to 20
     * times: 13. */
    CHECK_INT(facts.mutants, 5 + 12 + 1 + 13);
    hx_profile_destroy(profile);
    hx_profile_destroy(NULL);
}

int main(void)
{
    test_facts();
    test_refusals();
    test_truncation();
    return 0;
}
