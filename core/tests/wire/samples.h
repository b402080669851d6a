/* Lines of every form, with what must be found in them; shared by the tests of wire. */
#ifndef HAECHI_TESTS_WIRE_SAMPLES_H
#define HAECHI_TESTS_WIRE_SAMPLES_H

#include <haechi/format.h>

#define NOW_US  INT64_C(1763800000000000) /* 2025-11-22T08:26:40Z */
#define NO_TIME HX_TIME_NONE
#define AT(s)   (INT64_C(s) * 1000000)
#define AUG_30  INT64_C(1756548930000000) /* 2025-08-30T10:15:30Z */

typedef struct sample {
    const char *spec, *line;
    int rc;
    int64_t time_us;
    const char *host, *process, *pid, *thread, *level, *message;
    int facility, severity;
} sample;

extern const sample samples[];
extern const unsigned sample_count;

#endif
