/* What haechi-storm may be told: read from argv and JSON as texts, then checked as a whole. */
#ifndef HAECHI_TOOLS_STORM_SETTINGS_H
#define HAECHI_TOOLS_STORM_SETTINGS_H

#include <haechi/sender.h>

enum { STORM_PINS_MAX = 256 };

/* Texts as they were given; NULL where they were not. Lists are joined by commas. */
typedef struct storm_settings {
    char *profile, *form, *seed, *start, *eps, *count, *duration, *ramp_up, *sessions;
    char *anomaly_rate, *anomaly_kinds, *disturbance_events, *truth;
    char *output, *paced, *target, *ports, *transport, *framing, *allow_target, *allow_ports,
        *max_eps;
    char *workers, *groups, *pin, *burst_us, *gso, *account;
    char *tls_ca, *tls_certificate, *tls_key, *tls_server_name, *tls_insecure;
    char *stats_page, *control_socket, *summary, *snapshot;
    char *config; /* the path of the JSON, for reading it again */
    int argc;     /* what they were read from */
    char **argv;
    bool json; /* the summary, on standard error */
} storm_settings;

/* What they come to. */
typedef struct storm_plan {
    hx_sender_config sender; /* but for the profile */
    uint64_t max_eps_milli;
    const char *targets[HX_SENDER_TARGETS_MAX];
    uint16_t ports[HX_NET_PORTS_MAX];
    uint32_t pins[STORM_PINS_MAX];
    char *target_list; /* what targets points into; free() */
} storm_plan;

/* 0, HX_EEND after --help was printed, or HX_EINVAL with a sentence on standard error. */
int storm_settings_read(storm_settings *s, int argc, char **argv);
/* JSON text, over what is there; name is the file's, for sentences. */
int storm_settings_parse(storm_settings *s, const char *name, const char *text, size_t len);
void storm_settings_free(storm_settings *s);

/* 0, or HX_EINVAL with a sentence on standard error. */
int storm_plan_make(const storm_settings *s, storm_plan *plan);

/* At most HX_PROFILE_BYTES_MAX + 1 bytes; NULL with a sentence on standard error. To be freed. */
char *storm_file_read(const char *path, size_t *len);

#endif
