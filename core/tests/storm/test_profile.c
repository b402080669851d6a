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
    {"\"values\": [", "\"values\": 1, \"v\": [", HX_EINVAL, "values"},
    {"\"values\": [{", "\"values\": [1, {", HX_EINVAL, "values[0].process"},
    {"\"text\": \"work {n} {user}\"", "\"text\": \"work {n}\"", HX_EINVAL, "values[0].text"},
    {"\"text\": \"work {n} {user}\"", "\"text\": \"bye\"", HX_EINVAL, "values[0].text"},
    {"\"text\": \"work {n} {user}\"", "\"text\": 1", HX_EINVAL, "values[0].text"},
    {"\"text\": \"work {n} {user}\"", "\"severity\": 1, \"text\": \"work {n} {user}\"", HX_EINVAL,
     "values[0].severity"},
    {"\"variable\": \"user\"", "\"variable\": \"few\"", HX_EINVAL, "values[0].variable"},
    {"\"variable\": \"user\"", "\"variable\": \"use\"", HX_EINVAL, "values[0].variable"},
    {"\"variable\": \"user\"", "\"variable\": \"\"", HX_EINVAL, "values[0].variable"},
    {"\"variable\": \"user\"", "\"variable\": 1", HX_EINVAL, "values[0].variable"},
    {"[\"mallory\", ", "[\"lee\", ", HX_EINVAL, "values[0].choice"},
    {"[\"mallory\", ", "[1, ", HX_EINVAL, "values[0].choice[0]"},
    {"[\"mallory\", \"trudy\"]", "[]", HX_EINVAL, "values[0].choice"},
    {"[\"mallory\", \"trudy\"]", "[\"x\"], \"range\": [1, 2]", HX_EINVAL, "values[0].range"},
    {"\"choice\": [\"mallory\", \"trudy\"]", "\"x\": 1", HX_EINVAL, "values[0].range"},
    {"[1000, 99999999]", "[11, 20]", HX_EINVAL, "values[1].range"},
    {"[1000, 99999999]", "[0, 9]", HX_EINVAL, "values[1].range"},
    {"[1000, 99999999]", "[12, 100000000]", HX_EINVAL, "values[1].range"},
    {"[1000, 99999999]", "[-1, 8]", HX_EINVAL, "values[1].range"},
    {"\"range\": [1000, 99999999]", "\"choice\": [\"12\", \"10\"]", HX_EINVAL, "values[1].choice"},
    {"\"text\": \"flood", "\"text\": \"flood {", HX_EINVAL, "bursts[0].text"},
    {"\"bursts\": [{\"process\": \"sshd\"", "\"bursts\": [{\"process\": \"kernel\"", HX_EINVAL,
     "bursts[0].process"},
    {"[20, 60]", "[1, 60]", HX_EINVAL, "bursts[0].times"},
    {"[20, 60]", "[61, 60]", HX_EINVAL, "bursts[0].times"},
    {"[20, 60]", "[20, 2001]", HX_EINVAL, "bursts[0].times"},
    {"[20, 60]", "[20, 251]", HX_EINVAL, "bursts[0].times"},
    {"[20, 60]", "[20]", HX_EINVAL, "bursts[0].times"},
    {"[20, 60]", "20", HX_EINVAL, "bursts[0].times"},
    {"\"severity\": 6, \"text\": \"end", "\"severity\": 5, \"text\": \"end", HX_EINVAL,
     "bursts[1].text"},
};

/* What normal traffic could say, and what it never does: one rule on the text "v {v}". */
static void test_values(void)
{
    static const struct {
        const char *variable, *values;
        int code;
    } cases[] = {
        {"\"range\": [10, 20]", "\"range\": [21, 30]", 0},
        {"\"range\": [10, 20]", "\"range\": [20, 30]", HX_EINVAL},
        {"\"range\": [10, 20]", "\"range\": [0, 99999999]", HX_EINVAL},
        {"\"range\": [10, 20]", "\"choice\": [\"015\", \"9\", \"-12\", \"x\", \"115\"]", 0},
        {"\"range\": [10, 20]", "\"choice\": [\"15\"]", HX_EINVAL},
        {"\"range\": [0, 20]", "\"choice\": [\"0\"]", HX_EINVAL},
        {"\"choice\": [\"a\", \"7\", \"08\"]", "\"choice\": [\"b\", \"A\"]", 0},
        {"\"choice\": [\"a\", \"7\", \"08\"]", "\"choice\": [\"b\", \"a\"]", HX_EINVAL},
        {"\"choice\": [\"a\", \"7\", \"08\"]", "\"range\": [8, 70]", 0},
        {"\"choice\": [\"a\", \"7\", \"08\"]", "\"range\": [0, 7]", HX_EINVAL},
        {"\"ipv4\": \"10.0.0.0/8\"", "\"range\": [0, 99999999]", 0},
        {"\"ipv4\": \"10.0.0.0/8\"", "\"choice\": [\"11.0.0.1\", \"10.0.0\", \"10.0.0.256\"]", 0},
        {"\"ipv4\": \"10.0.0.0/8\"", "\"choice\": [\"10.1.2.3\"]", HX_EINVAL},
        {"\"ipv4\": \"10.1.2.0/24\"", "\"choice\": [\"10.1.3.3\", \"10.1.2.3.4\"]", 0},
        {"\"random\": \"hex\", \"length\": 3", "\"choice\": [\"abcd\", \"xyz\", \"ab\"]", 0},
        {"\"random\": \"hex\", \"length\": 3", "\"choice\": [\"a0f\"]", HX_EINVAL},
        {"\"random\": \"hex\", \"length\": 3", "\"range\": [1000, 2000]", 0},
        {"\"random\": \"hex\", \"length\": 3", "\"range\": [0, 99]", 0},
        {"\"random\": \"hex\", \"length\": 3", "\"range\": [0, 100]", HX_EINVAL},
        {"\"random\": \"digits\", \"length\": 3", "\"range\": [999, 1000]", HX_EINVAL},
        {"\"random\": \"digits\", \"length\": 1", "\"range\": [0, 0]", HX_EINVAL},
        {"\"random\": \"digits\", \"length\": 12", "\"range\": [0, 99999999]", 0},
        {"\"random\": \"lower\", \"length\": 2", "\"range\": [10, 20]", 0},
    };
    char text[2048];

    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hx_profile *profile = NULL;
        hx_error err = {""};

        snprintf(text, sizeof text,
                 SMALL_HEAD SMALL_PROCESSES
                 "\"variables\": [{\"name\": \"v\", \"scope\": \"line\", %s}],"
                 "\"flows\": [{\"process\": \"app\", \"share\": 1, \"steps\": [{\"severity\": 6,"
                 " \"texts\": [\"v {v} {{v}}\"]}]}],"
                 "\"values\": [{\"process\": \"app\", \"text\": \"v {v} {{v}}\","
                 " \"variable\": \"v\", %s}]}",
                 cases[i].variable, cases[i].values);
        int code = hx_profile_create(text, strlen(text), &profile, &err);
        if (code != cases[i].code || (code && !strstr(err.text, "values[0]."))) {
            fprintf(stderr, "%s, %s: code %d, \"%s\"\n", cases[i].variable, cases[i].values, code,
                    err.text);
            exit(1);
        }
        hx_profile_destroy(profile);
    }
}

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
     * times: 13; the values: one step each. */
    CHECK_INT(facts.mutants, 5 + 12 + 1 + 13 + 2);
    hx_profile_destroy(profile);
    hx_profile_destroy(NULL);
}

int main(void)
{
    test_facts();
    test_refusals();
    test_values();
    test_truncation();
    return 0;
}
