#include <haechi/parent.h>

#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <unistd.h>

int hx_parent_follow(hx_error *err)
{
    const char *said = getenv("HAECHI_PARENT");
    char *end;
    long parent;

    if (!said)
        return 0;
    parent = strtol(said, &end, 10);
    if (end == said || *end || parent < 1 || parent > INT_MAX)
        return hx_error_set(err, HX_EINVAL,
                            "HAECHI_PARENT: the number of the process that started this one is "
                            "needed, not \"%.40s\"",
                            said);
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != (pid_t)parent)
        raise(SIGTERM);
    return 0;
}
