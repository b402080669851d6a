#include <haechi/thread.h>

#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

/* As in linux/sched/types.h, which clashes with sched.h where the C library has this too. */
typedef struct thread_attr {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime_ns, deadline_ns, period_ns;
    uint32_t util_min, util_max;
} thread_attr;

static int get(thread_attr *attr)
{
    *attr = (thread_attr){.size = sizeof *attr};
    return (int)syscall(SYS_sched_getattr, 0, attr, sizeof *attr, 0);
}

void hx_thread_slice_us(uint32_t us)
{
    thread_attr attr;

    if (get(&attr) || (attr.policy != SCHED_OTHER && attr.policy != SCHED_BATCH))
        return;
    attr.runtime_ns = (uint64_t)us * 1000;
    (void)syscall(SYS_sched_setattr, 0, &attr, 0); /* a kernel that does not know it is as before */
}

uint32_t hx_thread_slice(void)
{
    thread_attr attr;

    return get(&attr) ? 0 : (uint32_t)(attr.runtime_ns / 1000);
}
