/* haechi-sink: argv and configuration to the sink. Every setting stands once, in the table. */
#include <haechi/parent.h>
#include <haechi/quantity.h>
#include <haechi/sink.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define PINS_MAX 64

enum { EXIT_USAGE = 2 };

typedef struct settings {
    hx_sink_config sink;
    const char *ports, *summary;
    uint16_t port[HX_NET_PORTS_MAX];
    bool quiet;
    uint32_t pin[PINS_MAX];
} settings;

typedef enum setting_kind { TEXT, FLAG, COUNT, RATE, SECONDS, CHOICE, PROCESSORS } setting_kind;

typedef struct setting {
    const char *name; /* in the JSON; on the command line with - for _ and -- before it */
    setting_kind kind;
    size_t offset; /* in settings */
    double low, high;
    const char *const *choices; /* in the order of the enumeration, NULL at the end */
    const char *help;
} setting;

#define AT(field) offsetof(settings, field)

static const char *const transports[] = {"udp", "tcp", "tls", NULL};
static const char *const framings[] = {"auto", "octets", "newline", NULL};

static const setting table[] = {
    {"ports", TEXT, AT(ports), 0, 0, NULL, "LIST  such as 514-553 or 6514,6601-6610 [514-553]"},
    {"address", TEXT, AT(sink.listen.address), 0, 0, NULL,
     "ADDRESS  to listen on; * is every address [127.0.0.1]"},
    {"transport", CHOICE, AT(sink.listen.transport), 0, 0, transports, "udp|tcp|tls  [udp]"},
    {"framing", CHOICE, AT(sink.listen.framing), 0, 0, framings,
     "auto|octets|newline  TCP and TLS; auto: by a connection's first byte [auto]"},
    {"plain", FLAG, AT(sink.listen.plain), 0, 0, NULL,
     "take datagrams one by one, as any other receiver does (no UDP_GRO)"},
    {"buffer_bytes", COUNT, AT(sink.listen.buffer_bytes), 0, 2147483647, NULL,
     "N  receive buffer of a UDP port; 0: 8 MiB, or what the system allows [0]"},
    {"tls_certificate", TEXT, AT(sink.listen.certificate), 0, 0, NULL, "FILE  PEM; needed for tls"},
    {"tls_key", TEXT, AT(sink.listen.key), 0, 0, NULL, "FILE  PEM; needed for tls"},
    {"tls_client_ca", TEXT, AT(sink.listen.client_ca), 0, 0, NULL,
     "FILE  PEM; who must have signed the clients' certificates"},
    {"workers", COUNT, AT(sink.workers), 1, HX_SINK_WORKERS_MAX, NULL,
     "N  threads that receive; ports are shared out among them [1]"},
    {"pin", PROCESSORS, 0, 0, 0, NULL, "N,N,...  processors for the workers"},
    {"write", TEXT, AT(sink.write), 0, 0, NULL,
     "FILE|-  each message as a line; the file is made anew"},
    {"max_eps", RATE, AT(sink.max_eps), 1, (double)HX_SINK_EPS_MAX, NULL,
     "N  play a slow receiver: take at most N a second (750k, 4M)"},
    {"duration", SECONDS, AT(sink.duration_ns), 0.001, 31536000, NULL,
     "S  end after so long (30m, 1h)"},
    {"idle_exit", SECONDS, AT(sink.idle_exit_ns), 0.001, 31536000, NULL,
     "S  end when every stream has ended and nothing came for so long"},
    {"stats_page", TEXT, AT(sink.stats_page), 0, 0, NULL, "FILE  counters for others to read"},
    {"control_socket", TEXT, AT(sink.control_socket), 0, 0, NULL,
     "PATH  Unix socket for commands: stats, set_rate, pause, resume, stop"},
    {"summary", TEXT, AT(summary), 0, 0, NULL,
     "FILE|-  totals as JSON at the end; - is standard error"},
    {"quiet", FLAG, AT(quiet), 0, 0, NULL, "no live line, no totals in words; warnings stay"},
};

#define TABLE_COUNT (sizeof table / sizeof table[0])

static _Atomic(hx_sink *) running;
static _Atomic bool stop_wanted;

static void on_signal(int number)
{
    hx_sink *sink = atomic_load(&running);

    (void)number;
    atomic_store(&stop_wanted, true);
    if (sink)
        hx_sink_stop(sink);
}

static void fail_usage(const char *sentence)
{
    fprintf(stderr, "haechi-sink: %s\n", sentence);
    exit(EXIT_USAGE);
}

static char *option_name(const char *name, char *out, size_t size)
{
    size_t i = 0;

    for (; name[i] && i + 1 < size; i++)
        out[i] = name[i] == '_' ? '-' : name[i];
    out[i] = 0;
    return out;
}

static void print_help(void)
{
    char name[64];

    printf("haechi-sink: receives syslog and keeps account of every message.\n\n"
           "  haechi-sink [options]\n"
           "  haechi-sink --config FILE [options]\n\n"
           "Options, also keys of the JSON in --config (there with _):\n\n");
    for (size_t i = 0; i < TABLE_COUNT; i++)
        printf("  --%s %s\n", option_name(table[i].name, name, sizeof name), table[i].help);
    printf("\nTERM and INT end it gracefully. Exit status: 0 done, 1 failed, 2 wrong usage.\n"
           "Example: haechi-sink --ports 5514-5553 --idle-exit 2 --summary totals.json\n");
}

/* --- values ------------------------------------------------------------------------------------
 */

static void *place(settings *s, const setting *t)
{
    return (char *)s + t->offset;
}

static void set_number(settings *s, const setting *t, double v, const char *shown)
{
    bool whole = t->kind != SECONDS;
    char sentence[256];

    if (!(v >= t->low && v <= t->high) || (whole && v != (double)(uint64_t)v)) {
        snprintf(sentence, sizeof sentence, "%s: %.100s is not a %s from %.10g to %.10g", t->name,
                 shown, whole ? "whole number" : "number of seconds", t->low, t->high);
        fail_usage(sentence);
    }
    if (t->kind == COUNT)
        *(uint32_t *)place(s, t) = (uint32_t)v;
    else if (t->kind == RATE)
        *(uint64_t *)place(s, t) = (uint64_t)v;
    else
        *(int64_t *)place(s, t) = (int64_t)(v * 1e9);
}

static void set_number_text(settings *s, const setting *t, const char *text)
{
    char sentence[256];
    uint64_t number;
    int64_t ns;

    if (t->kind != SECONDS && hx_quantity_parse(text, 0, &number) == 0) {
        set_number(s, t, (double)number, text);
        return;
    }
    if (t->kind == SECONDS && hx_duration_parse(text, &ns) == 0) {
        set_number(s, t, (double)ns / 1e9, text);
        return;
    }
    snprintf(sentence, sizeof sentence, "%s: \"%.100s\" is not %s", t->name, text,
             t->kind == SECONDS ? "a time such as 30, 10m or 1h"
                                : "a whole number such as 65536, 750k or 4M");
    fail_usage(sentence);
}

static void set_choice(settings *s, const setting *t, const char *text)
{
    char sentence[256];
    size_t len;

    for (int i = 0; t->choices[i]; i++) {
        if (strcmp(t->choices[i], text) == 0) {
            *(int *)place(s, t) = i;
            return;
        }
    }
    len =
        (size_t)snprintf(sentence, sizeof sentence, "%s: \"%.100s\" is not one of", t->name, text);
    for (int i = 0; t->choices[i]; i++)
        len += (size_t)snprintf(sentence + len, sizeof sentence - len, "%s %s", i ? "," : "",
                                t->choices[i]);
    fail_usage(sentence);
}

static void add_pin(settings *s, double v)
{
    if (s->sink.pin_count == PINS_MAX || !(v >= 0 && v < 65536) || v != (double)(uint32_t)v)
        fail_usage("pin: at most 64 processor numbers are allowed, such as 0,1");
    s->pin[s->sink.pin_count++] = (uint32_t)v;
}

static void set_text(settings *s, const setting *t, const char *text)
{
    char *end;
    double v;

    switch (t->kind) {
    case TEXT:
        *(const char **)place(s, t) = text;
        return;
    case FLAG:
        *(bool *)place(s, t) = true;
        return;
    case CHOICE:
        set_choice(s, t, text);
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
    case RATE:
    case SECONDS:
        set_number_text(s, t, text);
        return;
    }
}

static bool is_number(const setting *t)
{
    return t->kind == COUNT || t->kind == RATE || t->kind == SECONDS;
}

static void set_json(settings *s, const setting *t, const cJSON *v)
{
    bool takes_text = t->kind == TEXT || t->kind == CHOICE || t->kind == RATE || t->kind == SECONDS;
    char sentence[256], shown[32];
    const cJSON *item;

    if (cJSON_IsNull(v))
        return;
    if (takes_text && cJSON_IsString(v)) {
        set_text(s, t, v->valuestring);
    } else if (t->kind == FLAG && cJSON_IsBool(v)) {
        *(bool *)place(s, t) = cJSON_IsTrue(v);
    } else if (is_number(t) && cJSON_IsNumber(v)) {
        snprintf(shown, sizeof shown, "%.10g", v->valuedouble);
        set_number(s, t, v->valuedouble, shown);
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

static const setting *find_option(const char *option)
{
    char name[64];

    for (size_t i = 0; i < TABLE_COUNT; i++)
        if (strcmp(option_name(table[i].name, name, sizeof name), option) == 0)
            return &table[i];
    return NULL;
}

/* The JSON stays in memory: the settings point into it. */
static void read_config(settings *s, const char *path)
{
    static cJSON *configs;
    char block[4096], sentence[512];
    const cJSON *item;
    hx_text text = {0};
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
    cJSON_ArrayForEach(item, root)
    {
        const setting *t = find_setting(item->string);

        if (!t) {
            snprintf(sentence, sizeof sentence, "%.120s is no setting; --help lists them",
                     item->string);
            fail_usage(sentence);
        }
        set_json(s, t, item);
    }
}

static void read_arguments(settings *s, int argc, char **argv)
{
    char sentence[256];

    for (int i = 1; i < argc; i++) {
        const char *arg = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        bool is_config = strcmp(arg, "--config") == 0;
        const setting *t = strncmp(arg, "--", 2) == 0 ? find_option(arg + 2) : NULL;

        if (!t && !is_config) {
            snprintf(sentence, sizeof sentence, "%.100s is no option; --help lists them", arg);
            fail_usage(sentence);
        } else if (t && t->kind == FLAG) {
            set_text(s, t, "");
        } else if (!value) {
            snprintf(sentence, sizeof sentence, "%.100s needs a value", arg);
            fail_usage(sentence);
        } else if (is_config) {
            read_config(s, argv[++i]);
        } else {
            set_text(s, t, argv[++i]);
        }
    }
}

static void finish_settings(settings *s)
{
    hx_listen_config *listen = &s->sink.listen;
    hx_error err = {{0}};

    if (hx_net_ports(s->ports, s->port, &listen->port_count, &err))
        fail_usage(err.text);
    listen->ports = s->port;
    if (listen->transport == HX_TLS && (!listen->certificate || !listen->key))
        fail_usage("transport: tls needs --tls-certificate FILE and --tls-key FILE");
    s->sink.pin = s->pin;
}

/* --- running -----------------------------------------------------------------------------------
 */

static void show_second(void *context, const hx_sink_glance *now)
{
    (void)context;
    fprintf(stderr, "\r%11.0f/s  %14llu received  %12llu lost  %5u streams  %5llu clients\033[K",
            now->eps, (unsigned long long)now->received, (unsigned long long)now->lost,
            now->streams, (unsigned long long)now->clients);
}

static void write_text(hx_text *out, const char *path)
{
    bool to_error = strcmp(path, "-") == 0;
    FILE *f = to_error ? stderr : fopen(path, "w");

    if (!f || out->failed || fwrite(out->ptr, 1, out->len, f) != out->len)
        fprintf(stderr, "haechi-sink: summary: %s: %s\n", path,
                out->failed ? "out of memory" : strerror(errno));
    if (f && !to_error)
        fclose(f);
    hx_text_free(out);
}

static void write_totals(hx_sink *sink, const settings *s)
{
    bool words = !s->quiet && !(s->summary && strcmp(s->summary, "-") == 0);
    hx_text out = {0};

    if (words) {
        hx_sink_report(sink, &out);
        write_text(&out, "-");
    }
    if (s->summary) {
        hx_sink_summary(sink, &out);
        hx_text_str(&out, "\n");
        write_text(&out, s->summary);
    }
}

/* Before the sink is made: a TERM that comes while it starts ends it as soon as it has. */
static void catch_signals(void)
{
    struct sigaction stop = {.sa_handler = on_signal}, ignore = {.sa_handler = SIG_IGN};

    sigaction(SIGTERM, &stop, NULL);
    sigaction(SIGINT, &stop, NULL);
    sigaction(SIGPIPE, &ignore, NULL);
}

/* A signal changes nothing any more, and would cut short how the totals are written. */
static void ignore_signals(void)
{
    signal(SIGTERM, SIG_IGN);
    signal(SIGINT, SIG_IGN);
}

/* Every connection is an open file. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

static int receive(settings *s, hx_error *err)
{
    bool live = !s->quiet && isatty(STDERR_FILENO);
    hx_error warning = {{0}};
    hx_sink *sink = NULL;
    int rc;

    if (live)
        s->sink.on_second = show_second;
    rc = hx_sink_create(&s->sink, &sink, &warning, err);
    if (rc)
        return rc;
    if (warning.text[0])
        fprintf(stderr, "haechi-sink: %s\n", warning.text);
    atomic_store(&running, sink);
    if (atomic_load(&stop_wanted))
        hx_sink_stop(sink);
    rc = hx_sink_run(sink, err);
    atomic_store(&running, NULL);
    ignore_signals();
    if (live)
        fputs("\r\033[K", stderr);
    write_totals(sink, s);
    hx_sink_destroy(sink);
    return rc;
}

int main(int argc, char **argv)
{
    static settings s = {.sink = {.workers = 1}, .ports = "514-553"};
    hx_error err = {{0}};
    int rc;

    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            return 0;
        }
    }
    if (hx_parent_follow(&err)) {
        fprintf(stderr, "haechi-sink: %s\n", err.text);
        return EXIT_USAGE;
    }
    read_arguments(&s, argc, argv);
    finish_settings(&s);
    catch_signals();
    raise_file_limit();
    rc = receive(&s, &err);
    if (rc) {
        fprintf(stderr, "haechi-sink: %s\n", err.text[0] ? err.text : hx_strerror(rc));
        return rc == HX_EINVAL || rc == HX_ENOTFOUND ? EXIT_USAGE : 1;
    }
    return 0;
}
