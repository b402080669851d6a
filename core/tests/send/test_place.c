#include "../check.h"
#include "send/room.h"

#include <sched.h>

static cpu_set_t allowed;

static void test_pinned(void)
{
    static const uint32_t pin[] = {3, 1, 2};
    hx_sender_config c = {.pin = pin, .pin_count = 3, .pin_auto = true};
    static const int want[] = {3, 1, 2, 3, 1};

    for (uint32_t i = 0; i < 5; i++)
        CHECK_INT(place_of(&c, i, 5), want[i]);
    c = (hx_sender_config){0};
    CHECK_INT(place_of(&c, 0, 5), -1);
}

/* On a machine of one node: workers go round its processors, groups one behind the other; on any
 * machine: each is on one that may be used, and what does not fit in is shared evenly. */
static void test_auto(void)
{
    static const struct {
        uint32_t groups, workers;
    } cases[] = {{0, 1}, {1, 2}, {4, 40}, {3, 10}, {7, 3}, {256, 256}};
    uint32_t processors = (uint32_t)CPU_COUNT(&allowed);

    CHECK_INT(place_processors(), processors);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        hx_sender_config c = {.pin_auto = true, .groups = cases[i].groups};
        uint32_t used[CPU_SETSIZE] = {0}, most = 0;

        for (uint32_t w = 0; w < cases[i].workers; w++) {
            int processor = place_of(&c, w, cases[i].workers);
            CHECK(processor >= 0 && CPU_ISSET(processor, &allowed));
            most = ++used[processor] > most ? used[processor] : most;
        }
        if (access("/sys/devices/system/node/node1", F_OK) != 0)
            CHECK(most <= (cases[i].workers + processors - 1) / processors);
    }
}

static void test_check(void)
{
    uint32_t pin[] = {0, 0};
    hx_sender_config c = {.pin = pin, .pin_count = 2};
    hx_error err = {""};
    uint32_t first = 0;

    while (!CPU_ISSET(first, &allowed))
        first++;
    pin[0] = pin[1] = first;
    CHECK_INT(place_check(&c, &err), 0);
    for (uint32_t wrong = CPU_SETSIZE; wrong < 70000; wrong += 30000) {
        pin[1] = wrong;
        CHECK_INT(place_check(&c, &err), HX_EINVAL);
        CHECK(strstr(err.text, "pin: "));
    }
}

int main(void)
{
    CHECK_INT(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    test_pinned();
    test_auto();
    test_check();
    return 0;
}
