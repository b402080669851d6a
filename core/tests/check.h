/* What the core's tests share: a failed check names its place and values and ends the test. */
#ifndef HAECHI_TESTS_CHECK_H
#define HAECHI_TESTS_CHECK_H

#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHECK_SKIP 77

#define CHECK(cond)                                                                                \
    do {                                                                                           \
        if (!(cond)) {                                                                             \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #cond);                     \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_INT(got, want)                                                                       \
    do {                                                                                           \
        long long got_ = (long long)(got), want_ = (long long)(want);                              \
        if (got_ != want_) {                                                                       \
            fprintf(stderr, "%s:%d: %s is %lld, want %lld\n", __FILE__, __LINE__, #got, got_,      \
                    want_);                                                                        \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

#define CHECK_BYTES(got, got_len, want, want_len)                                                  \
    do {                                                                                           \
        size_t gl_ = (size_t)(got_len), wl_ = (size_t)(want_len);                                  \
        if (gl_ != wl_ || (gl_ && memcmp((got), (want), gl_) != 0)) {                              \
            fprintf(stderr, "%s:%d: %s is \"%.*s\", want \"%.*s\"\n", __FILE__, __LINE__, #got,    \
                    (int)gl_, (const char *)(got), (int)wl_, (const char *)(want));                \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

/* len bytes that end right before a page which may not be touched, so that reading one byte too
 * many crashes (picohttpparser's trick). Freed with check_guard_free. */
static inline char *check_guard_copy(const char *bytes, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (len + page - 1) / page * page + page;
    char *base =
        mmap(NULL, room + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (base == MAP_FAILED || mprotect(base + room, page, PROT_NONE) != 0) {
        perror("check_guard_copy");
        exit(1);
    }
    if (len)
        memcpy(base + room - len, bytes, len);
    return base + room - len;
}

static inline void check_guard_free(char *copy, size_t len)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    size_t room = (len + page - 1) / page * page + page;

    munmap(copy + len - room, room + page);
}

/* A UDP port that is free, and that the system gives nobody who asks for any: a test that runs
 * beside this one would otherwise get it as soon as it is closed here. */
static inline uint16_t check_free_port(void)
{
    static uint64_t state;
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    state += (uint64_t)now.tv_nsec + ((uint64_t)getpid() << 32);
    for (;;) {
        uint16_t port;
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), rc;

        state = state * 6364136223846793005u + 1442695040888963407u;
        port = (uint16_t)(10000 + (state >> 33) % 20000); /* those given begin at 32768 */
        address.sin_port = htons(port);
        CHECK(fd >= 0);
        rc = bind(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (rc == 0)
            return port;
    }
}

#endif
