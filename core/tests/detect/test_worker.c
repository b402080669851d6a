/* A worker alone: when sessions begin and end, how many there may be, and its state as bytes. */
#include "detect/judge.h"
#include "made.h"

typedef struct place {
    hx_bundle *bundle;
    hx_alert_sink sink;
    hx_stats *stats;
    hx_source *source;
    hx_worker_shared shared;
    _Atomic int64_t latest_us;
    _Atomic bool give_up;
    hx_worker *worker[4];
    hx_batch batch;
} place;

static void open_place(place *p, uint32_t workers, const char *session)
{
    static const char *const paths[] = {"/dev/null"};
    static const uint16_t ports[2];
    const hx_listen_config listen = {.ports = ports, .port_count = 2};
    const hx_source_config source = {
        .paths = paths, .path_count = 1, .listen = &listen, .listen_count = 1};
    hx_error err = {{0}};

    memset(p, 0, sizeof *p);
    p->bundle = made_bundle(&(made_manifest){.session = session});
    CHECK_INT(hx_alert_sink_open(&p->sink, made_path("alerts"), &err), 0);
    CHECK_INT(hx_stats_create(NULL, "test", workers, hx_worker_stat_defs, HX_WORKER_STATS, NULL, 0,
                              &p->stats, &err),
              0);
    CHECK_INT(hx_source_create(&source, &p->source, &err), 0);
    atomic_store(&p->latest_us, HX_TIME_NONE);
    p->shared = (hx_worker_shared){.workers = workers,
                                   .memo_entries = 64,
                                   .max_shapes = 64,
                                   .repeat_us = -1,
                                   .sink = &p->sink,
                                   .stats = p->stats,
                                   .source = p->source,
                                   .give_up = &p->give_up,
                                   .latest_us = &p->latest_us};
    for (uint32_t w = 0; w < workers; w++)
        CHECK_INT(hx_worker_create(&p->shared, w, p->bundle, &p->worker[w], &err), 0);
    CHECK_INT(hx_batch_init(&p->batch, 1 << 16, workers), 0);
    p->batch.bundle = p->bundle;
    p->batch.source = "app.log";
}

static void close_place(place *p)
{
    for (uint32_t w = 0; w < p->shared.workers; w++)
        hx_worker_destroy(p->worker[w]);
    hx_batch_free(&p->batch, p->shared.workers);
    hx_source_destroy(p->source);
    hx_stats_destroy(p->stats);
    hx_alert_sink_close(&p->sink);
    hx_bundle_destroy(p->bundle);
    unlink(made_path("alerts"));
}

/* What one batch goes through; the first worker reads it, all judge it. */
static void give(place *p, const char *text)
{
    hx_error err = {{0}};

    p->batch.chunk.length = (uint32_t)strlen(text);
    p->batch.chunk.arrival_us = INT64_C(4000000000) * 1000000;
    memcpy(p->batch.buffer, text, p->batch.chunk.length);
    CHECK_INT(hx_worker_read(p->worker[0], &p->batch, &err), 0);
    for (uint32_t w = 0; w < p->shared.workers; w++)
        CHECK_INT(hx_worker_judge(p->worker[w], &p->batch, &err), 0);
    p->batch.chunk.offset += p->batch.chunk.length;
}

static uint64_t total(const place *p, uint32_t stat)
{
    return hx_stats_total(p->stats, stat);
}

/* "PID@SECOND" of each line, a batch a string; idle after ten seconds of event time. */
static void test_when_sessions_end(void)
{
    static const struct {
        const char *batches[4];
        int64_t tick_s; /* of a last batch without lines; 0: none */
        uint32_t opened, ended, open;
    } cases[] = {
        {{"1@0 1@10 1@20"}, 0, 1, 0, 1},
        {{"1@0 1@11"}, 0, 1, 0, 1},            /* its own line does not make it idle */
        {{"1@0 2@10 1@11"}, 0, 2, 0, 2},       /* ten seconds are not more than ten */
        {{"1@0 2@11 1@11"}, 0, 3, 1, 2},       /* eleven are; all lines' times count */
        {{"1@0 2@11 1@1"}, 0, 3, 1, 2},        /* a late line does not bring a session back */
        {{"1@20 1@5 2@29 1@29"}, 0, 2, 0, 2},  /* nor move the watermark back */
        {{"1@0", "1@11"}, 0, 1, 0, 1},         /* the same over batches */
        {{"1@0", "2@11", "1@11"}, 0, 3, 1, 2}, /* and in three */
        {{"1@0 2@0 3@0 4@30"}, 0, 4, 3, 1},
        {{"1@0 2@5", "3@11"}, 0, 3, 1, 2},
        {{"1@0"}, 10, 1, 0, 1}, /* the clock alone */
        {{"1@0"}, 11, 1, 1, 0},
        {{"1@0 2@5"}, 14, 2, 1, 1},
        {{"1@0", "1@9000000000"}, 0, 1, 0, 1}, /* a clock that is not believed */
        {{"1@0 2@9000000000 1@5"}, 0, 2, 0, 2},
        {{"2@9000000000 1@0 1@5"}, 0, 2, 0, 2},
    };
    static const uint32_t workers[] = {1, 3};

    for (size_t i = 0; i < 2 * sizeof cases / sizeof cases[0]; i++) {
        static place p;
        char text[1024];

        open_place(&p, workers[i % 2], NULL);
        for (uint32_t n = 0; n < 4 && cases[i / 2].batches[n]; n++) {
            size_t len = 0;

            for (const char *at = cases[i / 2].batches[n]; *at;) {
                int used = 0;
                unsigned pid;
                long long second;

                CHECK_INT(sscanf(at, "%u@%lld%n", &pid, &second, &used), 2);
                /* iso has four digits for the year: seconds beyond mean 9999 */
                len += (size_t)snprintf(
                    text + len, sizeof text - len, "%s-01-01T00:00:%02dZ h p[%u]: open request 1\n",
                    second > 1000000 ? "9999" : "2020", second > 1000000 ? 0 : (int)second, pid);
                at += used + (at[used] == ' ');
            }
            give(&p, text);
        }
        if (cases[i / 2].tick_s) {
            p.batch.tick_us = (INT64_C(1577836800) + cases[i / 2].tick_s) * 1000000;
            give(&p, "");
        }
        if (total(&p, HX_STAT_SESSIONS_OPENED) != cases[i / 2].opened)
            fprintf(stderr, "case %zu\n", i / 2);
        CHECK_INT(total(&p, HX_STAT_SESSIONS_OPENED), cases[i / 2].opened);
        CHECK_INT(total(&p, HX_STAT_SESSIONS_ENDED), cases[i / 2].ended);
        CHECK_INT(total(&p, HX_STAT_SESSIONS_OPEN), cases[i / 2].open);
        close_place(&p);
    }
}

static void give_sessions(place *p, uint32_t from, uint32_t count)
{
    static char text[1 << 16];
    size_t len = 0;

    for (uint32_t n = from; n < from + count; n++)
        len += (size_t)snprintf(text + len, sizeof text - len,
                                "2020-01-01T00:00:00Z h p[%u]: open request 1\n", n);
    give(p, text);
}

static void test_bound(void)
{
    static place p;

    for (uint32_t workers = 1; workers <= 4; workers *= 2) {
        open_place(&p, workers,
                   "{\"by\": \"fields\", \"fields\": [\"pid\"], \"idle_s\": 10, \"max_open\": 16}");
        for (uint32_t turn = 0; turn < 20; turn++)
            give_sessions(&p, turn * 500, 500);
        CHECK_INT(total(&p, HX_STAT_SESSIONS_OPENED), 10000);
        CHECK_INT(total(&p, HX_STAT_SESSIONS_OPEN), 16);
        CHECK_INT(total(&p, HX_STAT_SESSIONS_EVICTED), 10000 - 16);
        CHECK_INT(total(&p, HX_STAT_SESSIONS_CUT), 0);
        CHECK_INT(total(&p, HX_STAT_SESSIONS_ENDED), 0);
        for (uint32_t w = 0; w < workers; w++) /* slots are used again */
            CHECK(p.worker[w]->sessions.touched <= 16 + 2048);
        close_place(&p);
    }
}

/* What any number of workers saved, any number takes up: every session once, with its window. */
static void test_state_moves(void)
{
    static const uint32_t counts[] = {1, 2, 3, 4};
    static place from, to;

    for (uint32_t i = 0; i < 16; i++) {
        hx_saved_numbers numbers = {0};
        hx_text state[4] = {0};
        hx_error err = {{0}};
        uint32_t input = 0;
        uint64_t open = 0;

        open_place(&from, counts[i / 4], NULL);
        open_place(&to, counts[i % 4], NULL);
        give_sessions(&from, 0, 50);
        give(&from, "2020-01-01T00:00:03Z h p[7]: never heard of\n");
        numbers = (hx_saved_numbers){from.bundle->key_hash, &input, from.bundle->log_keys, 1};
        for (uint32_t w = 0; w < counts[i / 4]; w++)
            hx_worker_save(from.worker[w], &state[w]);
        for (uint32_t w = 0; w < counts[i % 4]; w++) {
            for (uint32_t part = 0; part < counts[i / 4]; part++)
                CHECK_INT(
                    hx_worker_load(to.worker[w], state[part].ptr, state[part].len, &numbers, &err),
                    0);
            open += to.worker[w]->sessions.open;
        }
        CHECK_INT(open, 50);
        CHECK_INT(atomic_load(&to.latest_us), INT64_C(1577836803) * 1000000);
        give(&to, "2020-01-01T00:00:04Z h p[7]: never heard of\n"); /* known, and reported */
        CHECK_INT(total(&to, HX_STAT_SESSIONS_OPENED), 0);
        CHECK_INT(total(&to, HX_STAT_NOVELTIES_SUPPRESSED), 1);
        for (uint32_t w = 0; w < 4; w++)
            hx_text_free(&state[w]);
        close_place(&from);
        close_place(&to);
    }
}

/* A state of another form is refused; hostile values in one of the right form do no harm. */
static void test_hostile_state(void)
{
    static place p;
    hx_text state = {0};
    hx_error err = {{0}};
    hx_saved_numbers numbers = {0};

    open_place(&p, 1, NULL);
    give_sessions(&p, 0, 5);
    give(&p, "2020-01-01T00:00:03Z h p[7]: never heard of\n");
    hx_worker_save(p.worker[0], &state);
    close_place(&p);
    for (size_t len = 0; len < state.len; len += len < 48 ? 1 : 31) {
        char *guarded = check_guard_copy(state.ptr, len);

        open_place(&p, 1, NULL);
        CHECK_INT(hx_worker_load(p.worker[0], guarded, len, &numbers, &err), HX_EMALFORMED);
        check_guard_free(guarded, len);
        close_place(&p);
    }
    for (size_t at = 8; at < state.len; at++) {
        char was = state.ptr[at];

        if (at >= 24 && at < 40)
            continue; /* the two counts: refused, as above */
        state.ptr[at] = (char)~was;
        open_place(&p, 1, NULL);
        if (hx_worker_load(p.worker[0], state.ptr, state.len, &numbers, &err) == 0) {
            give_sessions(&p, 0, 10);
            p.batch.last = p.batch.close_all = true;
            give(&p, "2020-01-01T00:01:00Z h p[7]: open request 1\n");
            CHECK_INT(total(&p, HX_STAT_SESSIONS_OPEN), 0);
        }
        state.ptr[at] = was;
        close_place(&p);
    }
    hx_text_free(&state);
}

/* Lines of one port, the lines before which others are lost marked by a '!'; then what is torn. */
typedef struct loss_step {
    uint32_t input;
    const char *lines; /* "PID@SECOND" each */
} loss_step;

static void give_step(place *p, const loss_step *step, uint64_t *offset)
{
    char text[1024];
    size_t len = 0;

    p->batch.chunk = (hx_chunk){.input = step->input, .offset = offset[step->input]};
    for (const char *at = step->lines; *at; at += *at == ' ') {
        int used = 0;
        unsigned pid, second;

        if (*at == '!') {
            hx_chunk_note_hole(&p->batch.chunk, (uint32_t)len);
            at++;
        }
        if (sscanf(at, "%u@%u%n", &pid, &second, &used) != 2)
            continue;
        len +=
            (size_t)snprintf(text + len, sizeof text - len,
                             "2020-01-01T00:00:%02uZ h p[%u]: open request 1\n", second % 60, pid);
        at += used;
    }
    text[len] = '\0';
    give(p, text);
    offset[step->input] += len;
}

static uint32_t torn_now(const place *p, char *out)
{
    uint32_t torn = 0;

    for (unsigned pid = 1; pid < 10; pid++)
        for (uint32_t w = 0; w < p->shared.workers; w++) {
            const hx_sessions *s = &p->worker[w]->sessions;

            for (uint32_t slot = 0; slot < s->touched; slot++)
                if ((s->slots[slot].flags & HX_SESSION_OPEN) && hx_session_torn(&s->slots[slot]) &&
                    s->slots[slot].name_near[0] == (char)('0' + pid))
                    out[torn++] = (char)('0' + pid);
        }
    out[torn] = '\0';
    return torn;
}

static void test_what_a_loss_tears(void)
{
    static const struct {
        loss_step steps[5];
        const char *torn;   /* open sessions, after the last step */
        uint32_t torn_ends; /* when all have ended */
    } cases[] = {
        {{{0, "1@0 2@0 1@1 2@1"}}, "", 0},
        {{{0, "1@0 2@0 !1@1"}, {0, "2@1"}}, "12", 2}, /* it lies before both's next line */
        {{{0, "1@0 !2@0 3@0 2@1 3@1"}}, "", 1},       /* the ones that open behind it are whole */
        {{{0, "1@0"}, {0, "!2@0 1@1"}}, "1", 1},
        {{{0, "1@0"}, {0, "!"}, {0, "1@1 2@1"}}, "1", 1}, /* a hole without lines */
        {{{0, "1@0"}, {0, "!"}}, "", 1},                  /* the rest of 1 may be lost */
        {{{0, "1@0 2@0!"}, {0, "3@1"}, {0, "2@1"}}, "2", 2},
        {{{0, "1@0"}, {1, "!2@0 2@1"}, {0, "1@1"}}, "", 0},   /* another port's */
        {{{0, "1@0"}, {1, "!2@9 2@9"}, {0, "1@1"}}, "12", 2}, /* which ran ahead in time */
        {{{0, "1@0"}, {1, "!"}, {1, "2@9"}, {0, "1@1 1@9"}}, "1", 2},
        {{{2, "1@0 !1@1"}, {2, "1@2"}}, "", 0}, /* of a file nothing is lost */
        {{{0, "!1@0 1@1 1@2"}, {0, "1@3 1@4"}}, "", 0},
        {{{0, "1@0 !2@0 1@1 3@1 !2@2 3@2"}}, "123", 3}, /* between two of them all are torn */
    };

    for (size_t i = 0; i < 6 * sizeof cases / sizeof cases[0]; i++) {
        const uint32_t workers = i % 3 + 1, judged = i / 3 % 2, at = (uint32_t)i / 6;
        uint64_t offset[3] = {0};
        char torn[16], want[16];
        static place p;

        open_place(&p, workers, NULL);
        p.shared.judge_torn = judged;
        for (uint32_t n = 0; n < 5 && cases[at].steps[n].lines; n++)
            give_step(&p, &cases[at].steps[n], offset);
        torn_now(&p, torn);
        snprintf(want, sizeof want, "%s", judged ? "" : cases[at].torn);
        p.batch.chunk = (hx_chunk){.input = 1, .offset = offset[1]};
        p.batch.tick_us = INT64_C(1577836899) * 1000000;
        give(&p, "");
        if (strcmp(torn, want) != 0 ||
            total(&p, HX_STAT_TORN_ENDS) != !judged * cases[at].torn_ends)
            fprintf(stderr, "case %u with %u workers: %s torn, not %s\n", at, workers, torn, want);
        CHECK(strcmp(torn, want) == 0);
        CHECK_INT(total(&p, HX_STAT_TORN_ENDS), judged ? 0 : cases[at].torn_ends);
        CHECK_INT(total(&p, HX_STAT_SESSIONS_ENDED), total(&p, HX_STAT_SESSIONS_OPENED));
        CHECK_INT(total(&p, HX_STAT_SESSIONS_OPEN), 0);
        close_place(&p);
    }
}

/* A session of the network that a checkpoint brings back has lost what came meanwhile. */
static void test_state_of_a_network(void)
{
    static place from, to;
    static const uint32_t inputs[] = {1, 0, 2};

    for (uint32_t i = 0; i < 6; i++) {
        const uint32_t input = i % 3, judged = i / 3;
        uint64_t offset[3] = {0};
        hx_saved_numbers numbers;
        hx_text state = {0};
        hx_error err = {{0}};

        open_place(&from, 1, NULL);
        open_place(&to, 1, NULL);
        to.shared.judge_torn = judged;
        give_step(&from, &(loss_step){input, "1@0 2@0"}, offset);
        hx_session_tear(&from.worker[0]->sessions.slots[0], 3);
        numbers = (hx_saved_numbers){from.bundle->key_hash, inputs, from.bundle->log_keys, 3};
        hx_worker_save(from.worker[0], &state);
        CHECK_INT(hx_worker_load(to.worker[0], state.ptr, state.len, &numbers, &err), 0);
        for (uint32_t slot = 0; slot < 2; slot++)
            CHECK_INT(hx_session_torn(&to.worker[0]->sessions.slots[slot]), judged      ? 0
                                                                            : input < 2 ? 5
                                                                            : slot == 0 ? 4
                                                                                        : 0);
        hx_text_free(&state);
        close_place(&from);
        close_place(&to);
    }
}

/* The text of the alerts, until the next call. */
static const char *alerts_of(void)
{
    static char text[1 << 20];
    FILE *f = fopen(made_path("alerts"), "r");
    size_t len = f ? fread(text, 1, sizeof text - 1, f) : 0;

    CHECK(f != NULL);
    text[len] = 0;
    fclose(f);
    return text;
}

static uint32_t times_in(const char *text, const char *what)
{
    uint32_t n = 0;

    for (const char *at = text; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

/* Lines that fit no template, each of them to be told of. The clock may go on to another second
 * meanwhile, which has a bound of its own. */
static void test_a_flood_of_alerts(void)
{
    enum { SESSIONS = 60, MOST = 5 };
    static const uint32_t bounds[] = {0, MOST, SESSIONS + 1};
    static place p;

    for (uint32_t i = 0; i < 2 * sizeof bounds / sizeof bounds[0]; i++) {
        const uint32_t bound = bounds[i / 2], workers = i % 2 ? 3 : 1;
        const char *text;
        uint64_t due, over;
        uint32_t notices;

        open_place(&p, workers, NULL);
        p.shared.alerts_per_second = bound;
        p.shared.repeat_us = 0;
        for (uint32_t batch = 0; batch < 3; batch++) {
            char lines[8192];
            size_t len = 0;

            for (uint32_t n = 0; n < SESSIONS / 3; n++)
                len += (size_t)snprintf(lines + len, sizeof lines - len,
                                        "2020-01-01T00:00:00Z h p[%u]: odd one\n",
                                        batch * SESSIONS + n);
            give(&p, lines);
        }
        text = alerts_of();
        notices = times_in(text, "\"detector\": \"flood\"");

        due = total(&p, HX_STAT_ALERTS) - notices + total(&p, HX_STAT_ALERTS_OVER);
        over = total(&p, HX_STAT_ALERTS_OVER);
        CHECK_INT(due, SESSIONS);
        CHECK_INT(times_in(text, "\n"), total(&p, HX_STAT_ALERTS));
        if (bound == MOST) {
            CHECK(over > 0 && notices > 0);
            CHECK(total(&p, HX_STAT_ALERTS) <= (uint64_t)(notices + 1) * (MOST + 1));
            CHECK(strstr(text, "More than 5 alerts of new_event") != NULL);
        } else {
            CHECK_INT(over + notices, 0);
        }
        close_place(&p);
    }
}

int main(void)
{
    test_what_a_loss_tears();
    test_state_of_a_network();
    test_when_sessions_end();
    test_bound();
    test_a_flood_of_alerts();
    test_state_moves();
    test_hostile_state();
    return 0;
}
