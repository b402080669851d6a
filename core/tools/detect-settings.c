/* Every setting stands once, in the table. */
#include "detect-settings.h"

#include <haechi/text.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

typedef enum setting_kind { TEXT, FLAG, COUNT, SECONDS, PATHS, PROCESSORS, LISTEN } setting_kind;

typedef struct setting {
    const char *name; /* in the JSON; "a.b" is b in the object a. On the command line: --a-b */
    setting_kind kind;
    size_t offset; /* in settings; of LISTEN: the transport */
    double low, high;
    const char *help;
} setting;

#define AT(field) offsetof(settings, field)

static const setting table[] = {
    {"bundle", TEXT, AT(engine.bundle), 0, 0, "DIR  what training wrote (needed)"},
    {"sources", PATHS, 0, 0, 0, NULL},
    {"udp", LISTEN, HX_UDP, 0, 0,
     "ADDRESS:PORTS  syslog, one message a datagram; may be given several times"},
    {"tcp", LISTEN, HX_TCP, 0, 0, "ADDRESS:PORTS  syslog over TCP"},
    {"tls", LISTEN, HX_TLS, 0, 0, "ADDRESS:PORTS  syslog over TLS; needs a certificate and key"},
    {"udp_plain", FLAG, AT(network.plain), 0, 0, "take UDP as any receiver does, without GRO"},
    {"udp_buffer_bytes", COUNT, AT(network.buffer_bytes), 0, 1 << 30,
     "N  receive buffer of a UDP port; 0: 8 MiB, or what the system allows [0]"},
    {"on_overload", TEXT, AT(on_overload), 0, 0,
     "shed|drop  a UDP port whose queue has overflowed: lose few large pieces, the oldest lines "
     "first, or a little all the time, the newest first [shed]"},
    {"readers", COUNT, AT(engine.source.readers), 1, HX_READERS_MAX,
     "N  threads that receive; 1: the one that reads [1]"},
    {"framing", TEXT, AT(framing), 0, 0,
     "auto|octets|newline  how TCP and TLS tell messages apart [auto]"},
    {"tls_certificate", TEXT, AT(network.certificate), 0, 0, "FILE  PEM, with its chain"},
    {"tls_key", TEXT, AT(network.key), 0, 0, "FILE  PEM"},
    {"tls_client_ca", TEXT, AT(network.client_ca), 0, 0,
     "FILE  PEM; clients must have a certificate by it"},
    {"format", TEXT, AT(engine.format), 0, 0,
     "NAME|PATTERN  the lines' form, instead of the bundle's"},
    {"rules", TEXT, AT(engine.rules), 0, 0,
     "FILE  stage one's rules, as haechi rules convert writes them"},
    {"alerts", TEXT, AT(engine.alerts), 0, 0, "FILE|-  where alerts go, a JSON object a line [-]"},
    {"follow", FLAG, AT(engine.source.follow), 0, 0, "go on as files grow, rotate and appear"},
    {"from_end", FLAG, AT(engine.source.from_end), 0, 0,
     "with --follow: only what is written from now on"},
    {"polling", FLAG, AT(engine.source.polling), 0, 0, "with --follow: do not use inotify"},
    {"poll_ms", COUNT, AT(engine.source.poll_ms), 1, 60000,
     "N  how often polled files are looked at [200]"},
    {"rotate_wait_ms", COUNT, AT(engine.source.rotate_wait_ms), 0, 3600000,
     "N  how long a renamed file is still read [5000]"},
    {"workers", COUNT, AT(engine.workers), 1, 64, "N  threads that judge [1]"},
    {"pin", PROCESSORS, 0, 0, 0, "N,N,...  processors for the workers"},
    {"checkpoint.path", TEXT, AT(engine.checkpoint), 0, 0,
     "FILE  resume from here after a stop or a crash"},
    {"checkpoint.interval_s", SECONDS, AT(checkpoint_interval_s), 0.05, 86400,
     "S  seconds between two checkpoints [5]"},
    {"stats_page", TEXT, AT(engine.stats_page), 0, 0, "FILE  counters for others to read"},
    {"control_socket", TEXT, AT(engine.control_socket), 0, 0, "PATH  Unix socket for commands"},
    {"onnxruntime", TEXT, AT(engine.onnxruntime), 0, 0, "FILE  libonnxruntime.so"},
    {"memo_entries", COUNT, AT(engine.memo_entries), 4, 1 << 26,
     "N  remembered windows of each worker [131072]"},
    {"max_model_windows_per_batch", COUNT, AT(engine.max_model_windows), 0, 1e9,
     "N  what is over is counted as unscored; 0: no bound [0]"},
    {"ml_budget", SECONDS, AT(engine.ml_budget), 0, 64,
     "P  processors' worth of time that the model may take; 0: no bound [0]"},
    {"alerts_per_second", COUNT, AT(engine.alerts_per_second), 0, 1e9,
     "N  of one detector or rule, while lines are judged as they come; what is over is counted as "
     "alerts_over; 0: no bound [10000]"},
    {"after_loss", TEXT, AT(after_loss), 0, 0,
     "hold|judge  sessions that lost lines on the network: no alert of what is missing, or one as "
     "of any other [hold]"},
    {"novelty.repeat_s", SECONDS, AT(repeat_s), -1, 1e9,
     "S  before the same novelty is reported again; -1: as the bundle says [-1]"},
    {"novelty.max_shapes", COUNT, AT(engine.max_shapes), 1, 1 << 22,
     "N  unknown shapes told apart, of each worker [4096]"},
    {"batch_bytes", COUNT, AT(engine.batch_bytes), 4096, 16 << 20,
     "N  read at once; also the longest line [1048576]"},
    {"close_at_end", FLAG, AT(engine.close_at_end), 0, 0,
     "at the end of the input every open session ends"},
    {"summary", TEXT, AT(summary), 0, 0, "FILE|-  totals as JSON at the end; - is standard error"},
};

#define TABLE_COUNT (sizeof table / sizeof table[0])

static void fail_usage(const char *sentence)
{
    fprintf(stderr, "haechi-detect: %s\n", sentence);
    exit(EXIT_USAGE);
}

static char *option_name(const char *name, char *out, size_t size)
{
    size_t i = 0;

    for (; name[i] && i + 1 < size; i++)
        out[i] = name[i] == '_' || name[i] == '.' ? '-' : name[i];
    out[i] = 0;
    return out;
}

void settings_help(void)
{
    char name[64];

    printf(
        "haechi-detect: reads logs, judges every line with a trained bundle, writes alerts.\n\n"
        "  haechi-detect --bundle DIR [options] LOG...\n"
        "  haechi-detect --bundle DIR --udp 127.0.0.1:5514-5553 [options]\n"
        "  haechi-detect --config FILE [options]\n\n"
        "LOG is a file, a glob, or - for standard input; beside logs or instead of them it listens "
        "to the network.\nOptions, also keys of the JSON in "
        "--config\n"
        "(there with _ and as objects, e.g. {\"checkpoint\": {\"path\": \"...\"}}, \"sources\": "
        "[LOG, ...]):\n\n");
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (table[i].help)
            printf("  --%s %s\n", option_name(table[i].name, name, sizeof name), table[i].help);
    printf("\nTERM and INT end it gracefully. Exit status: 0 done, 1 failed, 2 wrong usage.\n"
           "Example: haechi-detect --bundle bundles/latest --follow --alerts alerts.jsonl "
           "/var/log/app/*.log\n");
}

/* --- values ------------------------------------------------------------------------------------
 */

static void set_number(settings *s, const setting *t, double v, const char *shown)
{
    char sentence[256];

    if (!(v >= t->low && v <= t->high) || (t->kind == COUNT && v != (double)(uint64_t)v)) {
        snprintf(sentence, sizeof sentence, "%s: %s is not %s from %g to %g", t->name, shown,
                 t->kind == COUNT ? "a whole number" : "a number", t->low, t->high);
        fail_usage(sentence);
    }
    if (t->kind == COUNT)
        *(uint32_t *)(void *)((char *)s + t->offset) = (uint32_t)v;
    else
        *(double *)(void *)((char *)s + t->offset) = v;
}

static void add_path(settings *s, const char *path)
{
    if (s->engine.source.path_count == PATHS_MAX)
        fail_usage("sources: more than 4096 paths; use a glob");
    s->paths[s->engine.source.path_count++] = path;
}

static void add_listen(settings *s, const setting *t, const char *text)
{
    hx_source_config *source = &s->engine.source;
    char sentence[256];

    if (source->listen_count == LISTENS_MAX) {
        snprintf(sentence, sizeof sentence, "%s: more than %d places; use ranges of ports", t->name,
                 LISTENS_MAX);
        fail_usage(sentence);
    }
    s->listen[source->listen_count].transport = (hx_transport)t->offset;
    s->listen_text[source->listen_count++] = text;
}

static void add_pin(settings *s, double v)
{
    if (s->engine.pin_count == PINS_MAX || !(v >= 0 && v < 65536))
        fail_usage("pin: at most 64 processor numbers are allowed");
    s->pin[s->engine.pin_count++] = (uint32_t)v;
}

static void set_text(settings *s, const setting *t, const char *text)
{
    char *end, sentence[256];
    double v;

    switch (t->kind) {
    case TEXT:
        *(const char **)(void *)((char *)s + t->offset) = text;
        return;
    case FLAG:
        *(bool *)((char *)s + t->offset) = true;
        return;
    case PATHS:
        add_path(s, text);
        return;
    case LISTEN:
        add_listen(s, t, text);
        return;
    case PROCESSORS:
        for (const char *at = text; *at; at = *end == ',' ? end + 1 : end) {
            v = strtod(at, &end);
            if (end == at)
                fail_usage("pin: a list of processor numbers such as 0,1 is needed");
            add_pin(s, v);
        }
        return;
    case COUNT:
    case SECONDS:
        v = strtod(text, &end);
        if (end == text || *end) {
            snprintf(sentence, sizeof sentence, "%s: \"%.100s\" is not a number", t->name, text);
            fail_usage(sentence);
        }
        set_number(s, t, v, text);
        return;
    }
}

static void set_json(settings *s, const setting *t, const cJSON *v)
{
    char sentence[256], shown[32];
    const cJSON *item;

    if (cJSON_IsNull(v))
        return;
    if (t->kind == TEXT && cJSON_IsString(v)) {
        set_text(s, t, v->valuestring);
    } else if (t->kind == FLAG && cJSON_IsBool(v)) {
        *(bool *)((char *)s + t->offset) = cJSON_IsTrue(v);
    } else if ((t->kind == COUNT || t->kind == SECONDS) && cJSON_IsNumber(v)) {
        snprintf(shown, sizeof shown, "%g", v->valuedouble);
        set_number(s, t, v->valuedouble, shown);
    } else if ((t->kind == PATHS || t->kind == LISTEN) && cJSON_IsArray(v)) {
        cJSON_ArrayForEach(item, v)
        {
            if (!cJSON_IsString(item)) {
                snprintf(sentence, sizeof sentence, "%s: a list of texts is needed", t->name);
                fail_usage(sentence);
            }
            set_text(s, t, item->valuestring);
        }
    } else if (t->kind == PROCESSORS && cJSON_IsArray(v)) {
        cJSON_ArrayForEach(item, v) add_pin(s, cJSON_IsNumber(item) ? item->valuedouble : -1);
    } else {
        snprintf(sentence, sizeof sentence, "%s: the value has the wrong type", t->name);
        fail_usage(sentence);
    }
}

/* --- configuration file ------------------------------------------------------------------------
 */

static const setting *find_setting(const char *name)
{
    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (strcmp(table[i].name, name) == 0)
            return &table[i];
    return NULL;
}

static void set_object(settings *s, const cJSON *object, const char *prefix)
{
    const cJSON *item;
    char name[128], sentence[256];

    cJSON_ArrayForEach(item, object)
    {
        const setting *t;

        snprintf(name, sizeof name, "%s%s", prefix, item->string);
        t = find_setting(name);
        if (t) {
            set_json(s, t, item);
        } else if (cJSON_IsObject(item) && !*prefix) {
            strcat(name, ".");
            set_object(s, item, name);
        } else {
            snprintf(sentence, sizeof sentence, "%.120s is no setting; --help lists them", name);
            fail_usage(sentence);
        }
    }
}

/* The JSON stays in memory: the settings point into it. */
static void read_config(settings *s, const char *path)
{
    static cJSON *configs;
    char sentence[512];
    hx_text text = {0};
    char block[4096];
    size_t n;
    FILE *f = fopen(path, "rb");
    cJSON *root;

    if (!f) {
        snprintf(sentence, sizeof sentence, "%.300s: %s", path, strerror(errno));
        fail_usage(sentence);
    }
    while ((n = fread(block, 1, sizeof block, f)) > 0)
        hx_text_bytes(&text, block, n);
    fclose(f);
    root = cJSON_ParseWithLength(text.ptr, text.len);
    if (!cJSON_IsObject(root)) {
        const char *at = cJSON_GetErrorPtr();

        snprintf(sentence, sizeof sentence, "%.300s: not a JSON object (at byte %ld)", path,
                 at && text.ptr ? (long)(at - text.ptr) : 0L);
        fail_usage(sentence);
    }
    hx_text_free(&text);
    cJSON_AddItemToArray(configs ? configs : (configs = cJSON_CreateArray()), root);
    set_object(s, root, "");
}

static void read_arguments(settings *s, int argc, char **argv)
{
    char name[64], sentence[256];
    bool only_paths = false;

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value;
        size_t k = 0;

        if (only_paths || arg[0] != '-' || !arg[1]) {
            add_path(s, arg);
            continue;
        }
        if (strcmp(arg, "--") == 0) {
            only_paths = true;
            continue;
        }
        if (strcmp(arg, "-o") == 0)
            arg = "--alerts";
        while (
            k < TABLE_COUNT &&
            (!table[k].help || strcmp(arg + 2, option_name(table[k].name, name, sizeof name)) != 0))
            k++;
        value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(arg, "--config") == 0 && value) {
            read_config(s, argv[++i]);
        } else if (k == TABLE_COUNT || arg[1] != '-') {
            snprintf(sentence, sizeof sentence, "%.100s is no option; --help lists them", arg);
            fail_usage(sentence);
        } else if (table[k].kind == FLAG) {
            set_text(s, &table[k], "");
        } else if (!value) {
            snprintf(sentence, sizeof sentence, "%.100s needs a value", arg);
            fail_usage(sentence);
        } else {
            set_text(s, &table[k], argv[++i]);
        }
    }
}

/* --- what belongs together ---------------------------------------------------------------------
 */

static hx_framing framing_of(const char *name)
{
    static const char *const names[] = {[HX_FRAMING_AUTO] = "auto",
                                        [HX_FRAMING_OCTETS] = "octets",
                                        [HX_FRAMING_NEWLINE] = "newline"};
    char sentence[256];

    for (int i = 0; name && i < 3; i++)
        if (strcmp(names[i], name) == 0)
            return (hx_framing)i;
    if (name) {
        snprintf(sentence, sizeof sentence, "framing: \"%.100s\" is not auto, octets or newline",
                 name);
        fail_usage(sentence);
    }
    return HX_FRAMING_AUTO;
}

/* Whether a setting of two values has the second one; without a value it has the first. */
static bool is_second(const char *key, const char *value, const char *first, const char *second)
{
    char sentence[256];

    if (!value || strcmp(value, first) == 0)
        return false;
    if (strcmp(value, second) != 0) {
        snprintf(sentence, sizeof sentence, "%s: \"%.100s\" is not %s or %s", key, value, first,
                 second);
        fail_usage(sentence);
    }
    return true;
}

static void set_network(settings *s)
{
    hx_source_config *source = &s->engine.source;
    hx_framing framing = framing_of(s->framing);

    s->network.shed = !is_second("on_overload", s->on_overload, "shed", "drop");
    for (uint32_t i = 0; i < source->listen_count; i++) {
        hx_transport transport = s->listen[i].transport;
        hx_listen_place *place = &s->place[i];
        hx_error err = {{0}};

        if (transport == HX_TLS && (!s->network.certificate || !s->network.key))
            fail_usage("tls: tls_certificate and tls_key are needed, PEM files of this receiver's");
        if (hx_listen_place_parse(s->listen_text[i], place, &err))
            fail_usage(err.text);
        s->listen[i] = s->network;
        s->listen[i].transport = transport;
        s->listen[i].framing = framing;
        s->listen[i].address = place->address;
        s->listen[i].ports = place->ports;
        s->listen[i].port_count = place->port_count;
    }
    source->listen = s->listen;
}

void settings_read(settings *s, int argc, char **argv)
{
    read_arguments(s, argc, argv);
    if (!s->engine.bundle)
        fail_usage("--bundle DIR is needed; --help explains");
    if (!s->engine.source.path_count && !s->engine.source.listen_count)
        fail_usage("no log is named; - is standard input, --udp ADDRESS:PORTS the network");
    s->engine.source.paths = s->paths;
    s->engine.pin = s->pin;
    s->engine.checkpoint_ms = (uint32_t)(s->checkpoint_interval_s * 1000);
    s->engine.repeat_us = s->repeat_s < 0 ? -1 : (int64_t)(s->repeat_s * 1e6);
    s->engine.judge_torn = is_second("after_loss", s->after_loss, "hold", "judge");
    set_network(s);
}
