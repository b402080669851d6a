/* Maker: a composer's lines to a file, in large writes. */
#include <haechi/storm.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { BLOCK_BYTES = 1 << 20 };

typedef struct maker {
    hx_composer *composer;
    char *block;
    int output;
    FILE *truth;
    uint64_t episodes;
} maker;

static void truth_write(void *context, const hx_episode *episode)
{
    maker *m = context;
    char line[HX_EPISODE_JSON_MAX];

    m->episodes++;
    if (m->truth)
        fwrite(line, 1, hx_episode_format(episode, line), m->truth);
}

static int write_all(int fd, const char *bytes, size_t len)
{
    while (len) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return HX_EIO;
        bytes += n;
        len -= (size_t)n;
    }
    return 0;
}

static int maker_open(maker *m, const hx_maker_config *config, hx_error *err)
{
    hx_composer_config composer = config->composer;
    int rc;

    composer.on_episode = truth_write;
    composer.context = m;
    rc = hx_composer_create(&composer, &m->composer, err);
    if (rc)
        return rc;
    m->block = malloc(BLOCK_BYTES + HX_LINE_ROOM);
    if (!m->block)
        return hx_error_set(err, HX_ENOMEM, "maker: out of memory");
    if (strcmp(config->output, "-") == 0)
        m->output = STDOUT_FILENO;
    else
        m->output = open(config->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (m->output < 0)
        return hx_error_set(err, HX_EIO, "%s: cannot be written: %s", config->output,
                            strerror(errno));
    if (config->truth) {
        m->truth = fopen(config->truth, "we");
        if (!m->truth)
            return hx_error_set(err, HX_EIO, "%s: cannot be written: %s", config->truth,
                                strerror(errno));
    }
    return 0;
}

static int maker_write(maker *m, const hx_maker_config *config, hx_maker_result *result,
                       hx_error *err)
{
    while (result->events < config->count && !(config->stop && *config->stop)) {
        uint64_t events;
        size_t bytes = hx_composer_fill(m->composer, m->block, BLOCK_BYTES + HX_LINE_ROOM,
                                        config->count - result->events, &events);
        if (write_all(m->output, m->block, bytes))
            return hx_error_set(err, HX_EIO, "%s: writing failed after %llu lines: %s",
                                config->output, (unsigned long long)result->events,
                                strerror(errno));
        result->events += events;
        result->bytes += bytes;
    }
    return 0;
}

int hx_maker_run(const hx_maker_config *config, hx_maker_result *result, hx_error *err)
{
    maker m = {.output = -1};
    int rc = maker_open(&m, config, err);

    *result = (hx_maker_result){0};
    if (!rc) {
        rc = maker_write(&m, config, result, err);
        hx_composer_finish(m.composer);
        result->episodes = m.episodes;
    }
    if (m.truth) {
        bool failed = ferror(m.truth) != 0;
        if ((fclose(m.truth) != 0 || failed) && !rc)
            rc =
                hx_error_set(err, HX_EIO, "%s: writing failed: %s", config->truth, strerror(errno));
    }
    if (m.output > STDOUT_FILENO && close(m.output) != 0 && !rc)
        rc = hx_error_set(err, HX_EIO, "%s: writing failed: %s", config->output, strerror(errno));
    free(m.block);
    hx_composer_destroy(m.composer);
    return rc;
}
