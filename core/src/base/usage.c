#include <haechi/usage.h>

#include <stdio.h>
#include <sys/resource.h>

/* getrusage's figure will not do: it begins with what the process was before exec, a Python of half
 * a gigabyte perhaps. */
static uint64_t rss_peak_bytes(void)
{
    FILE *f = fopen("/proc/self/status", "re");
    char line[256];
    unsigned long long kib = 0;

    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "VmHWM: %llu kB", &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib * 1024;
}

hx_usage hx_usage_now(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (hx_usage){
        .cpu_user_s = (double)usage.ru_utime.tv_sec + (double)usage.ru_utime.tv_usec / 1e6,
        .cpu_system_s = (double)usage.ru_stime.tv_sec + (double)usage.ru_stime.tv_usec / 1e6,
        .rss_peak_bytes = rss_peak_bytes(),
    };
}
