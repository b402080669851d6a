#include "wire.h"

#include <strings.h>

/* The words that programs use for how bad a line is, and syslog's number for each (RFC 5424, table
 * 2). java.util.logging's FINE and its like are debugging; one letter is Android's and glog's. */
static const struct {
    char word[16];
    uint8_t severity;
} levels[] = {
    {"info", 6},      {"error", 3},  {"warn", 4},    {"warning", 4}, {"debug", 7},
    {"notice", 5},    {"fatal", 2},  {"i", 6},       {"w", 4},       {"e", 3},
    {"d", 7},         {"v", 7},      {"f", 2},       {"err", 3},     {"critical", 2},
    {"trace", 7},     {"severe", 3}, {"alert", 1},   {"emerg", 0},   {"crit", 2},
    {"emergency", 0}, {"panic", 0},  {"failure", 3}, {"verbose", 7}, {"config", 6},
    {"fine", 7},      {"finer", 7},  {"finest", 7},  {"log", 6},     {"informational", 6},
};

uint8_t wire_level_severity(hx_slice level)
{
    if (level.len == 0 || level.len >= sizeof levels[0].word)
        return HX_PRI_NONE;
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        const char *word = levels[i].word;
        if (word[0] == (level.ptr[0] | 32) && word[level.len] == '\0' &&
            strncasecmp(word, level.ptr, level.len) == 0)
            return levels[i].severity;
    }
    return HX_PRI_NONE;
}
