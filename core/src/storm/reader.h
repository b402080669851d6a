/* Reading a profile: what its parts need of each other. where is the place in the JSON text. */
#ifndef HAECHI_STORM_READER_H
#define HAECHI_STORM_READER_H

#include "storm/model.h"

#include <cjson/cJSON.h>

/* profile.c: the process that the object names under "process". */
int hx_storm_process_find(const hx_profile *p, const cJSON *item, const char *where, uint16_t *out,
                          hx_error *err);
/* The number of the message, which is added where there is none. */
int hx_storm_message_intern(hx_profile *p, uint16_t process, uint32_t severity, const cJSON *text,
                            const char *where, uint16_t *out, hx_error *err);

/* value.c: one object of "variables"; the values of "choice" and "range". */
int hx_storm_variable_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err);
int hx_storm_choice_read(storm_variable *v, const cJSON *list, const char *where, hx_error *err);
int hx_storm_range_read(storm_variable *v, const cJSON *list, const char *where, hx_error *err);

/* rule.c: one object of "never", "failures", "values", "bursts". */
int hx_storm_never_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err);
int hx_storm_failure_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err);
int hx_storm_value_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err);
int hx_storm_burst_read(hx_profile *p, const cJSON *item, const char *where, hx_error *err);

#endif
