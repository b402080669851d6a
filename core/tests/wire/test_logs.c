/* Real logs, where HAECHI_DATA names a folder with them: every preset reads its own log without a
 * malformed line, and detection names it. */
#include "../check.h"

#include <haechi/format.h>

#include <stdbool.h>

typedef struct text {
    char *bytes;
    size_t len;
    hx_slice *lines;
    uint32_t count;
} text;

static bool text_read(const char *folder, const char *name, text *out)
{
    char command[1024];
    bool packed = strstr(name, ".xz") != NULL;
    FILE *in;
    size_t room = 32 << 20;

    snprintf(command, sizeof command, "%s%s/%s%s", packed ? "xz -dc '" : "", folder, name,
             packed ? "'" : "");
    in = packed ? popen(command, "r") : fopen(command, "r");
    if (!in)
        return false;
    out->bytes = malloc(room);
    out->lines = malloc(sizeof *out->lines * 400000);
    CHECK(out->bytes && out->lines);
    out->len = fread(out->bytes, 1, room, in);
    if (packed)
        pclose(in);
    else
        fclose(in);
    out->count = 0;
    for (char *p = out->bytes, *end = p + out->len; p < end;) {
        char *newline = memchr(p, '\n', (size_t)(end - p));
        char *stop = newline ? newline : end;
        if (stop > p && out->count < 400000)
            out->lines[out->count++] = hx_slice_make(p, (size_t)(stop - p));
        p = stop + 1;
    }
    return out->len > 0;
}

static const struct {
    const char *file, *preset, *sample; /* sample: the first line's message must begin so */
} cases[] = {
    {"loghub_2k/Apache/Apache_2k.log", "apache", "workerEnv.init() ok"},
    {"loghub_2k/BGL/BGL_2k.log", "bgl", "instruction cache parity"},
    {"loghub_2k/HDFS/HDFS_2k.log", "hdfs", "PacketResponder"},
    {"loghub_2k/Hadoop/Hadoop_2k.log", "hadoop", "Created MRAppMaster"},
    {"loghub_2k/Linux/Linux_2k.log", "syslog", "authentication failure"},
    {"loghub_2k/OpenSSH/OpenSSH_2k.log", "syslog", "reverse mapping"},
    {"loghub_2k/Spark/Spark_2k.log", "spark", "Registered signal"},
    {"loghub_2k/Zookeeper/Zookeeper_2k.log", "zookeeper", "Notification time out"},
    {"hdfs_raw/first_20000.log", "hdfs", "Receiving block"},
    {"hdfs_raw/complete_blocks.log", "hdfs", "Receiving block"},
    {"auth_log/auth.log", "syslog", "Server listening"},
    {"bgl_100k/bgl_100k.log.xz", "bgl", "instruction cache parity"},
};

int main(void)
{
    const char *folder = getenv("HAECHI_DATA");
    int ran = 0;

    if (!folder) {
        puts("skipped: HAECHI_DATA names no folder of logs");
        return CHECK_SKIP;
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        text log;
        hx_format *format;
        hx_error err;
        hx_format_scratch scratch = {.now_us = INT64_C(1800000000) * 1000000};
        hx_record record;
        uint32_t malformed = 0, backwards = 0;
        int64_t before_us = INT64_MIN;
        const char *detected;

        if (!text_read(folder, cases[i].file, &log)) {
            printf("skipped: %s is not in HAECHI_DATA\n", cases[i].file);
            continue;
        }
        detected = hx_format_detect(log.lines, log.count < 1000 ? log.count : 1000);
        CHECK(hx_format_create(cases[i].preset, &format, &err) == 0);
        for (uint32_t n = 0; n < log.count; n++) {
            if (hx_format_parse(format, log.lines[n], &scratch, &record)) {
                if (malformed++ < 3)
                    printf("  malformed: %.*s\n", (int)log.lines[n].len, log.lines[n].ptr);
                continue;
            }
            if (n == 0)
                CHECK(record.message.len >= strlen(cases[i].sample) &&
                      memcmp(record.message.ptr, cases[i].sample, strlen(cases[i].sample)) == 0);
            CHECK(record.time_us != HX_TIME_NONE);
            backwards += record.time_us < before_us;
            before_us = record.time_us;
        }
        printf("%-40s %-10s %u lines, %u malformed, %u back in time\n", cases[i].file, detected,
               log.count, malformed, backwards);
        CHECK_BYTES(detected, strlen(detected), cases[i].preset, strlen(cases[i].preset));
        CHECK_INT(malformed, 0);
        hx_format_destroy(format);
        free(log.bytes);
        free(log.lines);
        ran++;
    }
    return ran ? 0 : CHECK_SKIP;
}
