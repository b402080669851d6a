/* A thread's piece of the processor: what was asked for, where the system knows of it, and nothing
 * else changed. */
#include "../check.h"

#include <haechi/thread.h>

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/utsname.h>

static bool system_knows(void)
{
    struct utsname name;
    int major = 0, minor = 0;

    CHECK_INT(uname(&name), 0);
    CHECK_INT(sscanf(name.release, "%d.%d", &major, &minor), 2);
    return major > 6 || (major == 6 && minor >= 12);
}

static void test_slice(void)
{
    static const uint32_t slices_us[] = {200, 5000, 100};
    const int policy = sched_getscheduler(0), nice = getpriority(PRIO_PROCESS, 0);

    for (size_t i = 0; i < sizeof slices_us / sizeof slices_us[0]; i++) {
        hx_thread_slice_us(slices_us[i]);
        if (system_knows() && policy == SCHED_OTHER)
            CHECK_INT(hx_thread_slice(), slices_us[i]);
        CHECK_INT(sched_getscheduler(0), policy);
        CHECK_INT(getpriority(PRIO_PROCESS, 0), nice);
    }
}

int main(void)
{
    test_slice();
    return 0;
}
