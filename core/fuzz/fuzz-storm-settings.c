/* A configuration of any bytes: it is refused, or it makes a plan that holds what it says. Nothing
 * is opened, sent or looked up by name. */
#include "../tools/storm-settings.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What needs no look-up by name. */
static bool is_address(const char *target)
{
    return !target || strcmp(target, "127.0.0.1") == 0 || strcmp(target, "127.0.0.1,::1") == 0;
}

static void check_plan(const storm_settings *s)
{
    storm_plan plan;

    if (storm_plan_make(s, &plan) == 0) {
        const hx_sender_config *c = &plan.sender;

        if (!c->output == !c->target_count || c->target_count > HX_SENDER_TARGETS_MAX ||
            c->port_count > HX_NET_PORTS_MAX || c->workers > HX_SENDER_WORKERS_MAX ||
            c->duration_ns < 0 || c->ramp_up_ns < 0 || c->composer.start_ns < 0 ||
            !(c->composer.anomaly_rate >= 0 && c->composer.anomaly_rate <= 1))
            abort();
        if (!c->unhurried && c->eps_milli > plan.max_eps_milli)
            abort();
    }
    free(plan.target_list);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static FILE *silent;
    storm_settings s = {0};

    if (!silent) {
        silent = fopen("/dev/null", "we"); /* for the sentences; libFuzzer keeps its own */
        if (!silent)
            abort();
        stderr = silent;
    }
    if (storm_settings_parse(&s, "settings", (const char *)data, size) == 0 && is_address(s.target))
        check_plan(&s);
    storm_settings_free(&s);
    return 0;
}
