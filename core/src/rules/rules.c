/* A rule file taken up, and what is asked of it. */
#include "rules/room.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_file(const char *path, hx_text *out, hx_error *err)
{
    char block[65536];
    struct stat st;
    ssize_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), error;

    if (fd < 0)
        return hx_error_set(err, errno == ENOENT ? HX_ENOTFOUND : HX_EIO, "rules: %s: %s", path,
                            strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return hx_error_set(err, HX_EIO, "rules: %s: not a file", path);
    }
    while (out->len <= HX_RULE_FILE_BYTES && !out->failed &&
           (n = read(fd, block, sizeof block)) > 0)
        hx_text_bytes(out, block, (size_t)n);
    error = errno;
    close(fd);
    if (n < 0)
        return hx_error_set(err, HX_EIO, "rules: %s: %s", path, strerror(error));
    if (out->failed)
        return hx_error_set(err, HX_ENOMEM, "rules: %s: out of memory", path);
    if (out->len > HX_RULE_FILE_BYTES)
        return hx_error_set(err, HX_EMALFORMED, "rules: %s: larger than 1 GiB", path);
    return 0;
}

int hx_rules_load(const char *path, uint32_t seats, hx_rules **out, hx_error *err)
{
    hx_text text = {0}, name = {0};
    int rc = read_file(path, &text, err);

    hx_text_printf(&name, "rules: %.300s", path);
    hx_text_bytes(&name, "", 1);
    if (!rc && name.failed)
        rc = hx_error_set(err, HX_ENOMEM, "rules: out of memory");
    if (!rc)
        rc = hx_rules_create(text.ptr ? text.ptr : "", text.len, name.ptr, seats, out, err);
    hx_text_free(&text);
    hx_text_free(&name);
    return rc;
}

static void note_digest(hx_rules *rules, const char *json, size_t len)
{
    static const char hex[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE] = {0};

    EVP_Digest(json, len, sum, NULL, EVP_sha256(), NULL);
    for (int i = 0; i < 8; i++) {
        rules->digest[2 * i] = hex[sum[i] >> 4];
        rules->digest[2 * i + 1] = hex[sum[i] & 15];
    }
}

static void note_uses(hx_rules *rules)
{
    for (uint32_t i = 0; i < rules->book.node_count; i++)
        if (rules->book.nodes[i].kind >= HX_NODE_HIT)
            rules->uses |= 1u << rules->book.nodes[i].field;
}

static int make_seats(hx_rules *rules, uint32_t seats, hx_error *err)
{
    int rc = 0;

    rules->seats = calloc((size_t)seats + 1, sizeof(hx_rule_seat *));
    if (!rules->seats)
        return hx_error_set(err, HX_ENOMEM, "%s: out of memory", rules->name);
    for (; rules->seat_count < seats && !rc; rules->seat_count++)
        rc = hx_rule_seat_create(rules, &rules->seats[rules->seat_count], err);
    return rc;
}

int hx_rules_create(const char *json, size_t json_len, const char *name, uint32_t seats,
                    hx_rules **out, hx_error *err)
{
    hx_rules *rules = calloc(1, sizeof *rules);
    int rc = 0;

    *out = NULL;
    if (!rules)
        return hx_error_set(err, HX_ENOMEM, "%s: out of memory", name);
    rules->name = strdup(name);
    if (!rules->name)
        rc = hx_error_set(err, HX_ENOMEM, "%s: out of memory", name);
    if (!rc)
        rc = hx_book_read(&rules->book, json, json_len, name, err);
    if (!rc) {
        note_digest(rules, json, json_len);
        note_uses(rules);
        if (hx_triggers_make(&rules->triggers, &rules->book))
            rc = hx_error_set(err, HX_ENOMEM, "%s: out of memory", name);
    }
    /* Numbers alone need nothing of it. */
    if (!rc && rules->book.pattern_count) {
        rules->hs = hx_hyperscan_get(err);
        rc = rules->hs ? hx_fields_compile(rules, err) : HX_EIO;
        malloc_trim(0); /* compiling took some thirty megabytes that nothing will need */
    }
    if (!rc)
        rc = make_seats(rules, seats, err);
    if (rc) {
        hx_rules_destroy(rules);
        return rc;
    }
    *out = rules;
    return 0;
}

static void free_database(const hx_rules *rules, hs_database_t *database)
{
    if (database)
        rules->hs->free_database(database);
}

void hx_rules_destroy(hx_rules *rules)
{
    if (!rules)
        return;
    for (uint32_t i = 0; i < rules->seat_count; i++)
        hx_rule_seat_destroy(rules, rules->seats[i]);
    free(rules->seats);
    for (uint32_t f = 0; f < HX_RULE_TEXTS; f++) {
        free_database(rules, rules->fields[f].near);
        free_database(rules, rules->fields[f].far);
        free_database(rules, rules->fields[f].exact);
        free_database(rules, rules->fields[f].far_exact);
        free_database(rules, rules->fields[f].blind);
        free_database(rules, rules->fields[f].settled);
        free_database(rules, rules->fields[f].told);
        free(rules->fields[f].settled_ids);
        hx_clues_free(&rules->fields[f].clues);
    }
    for (uint32_t b = 0; b < rules->block_count; b++)
        free_database(rules, rules->blocks[b]);
    free(rules->blocks);
    if (rules->scratch)
        rules->hs->free_scratch(rules->scratch);
    hx_triggers_free(&rules->triggers);
    hx_book_free(&rules->book);
    free(rules->name);
    free(rules);
}

uint32_t hx_rules_count(const hx_rules *rules)
{
    return rules->book.rule_count;
}

void hx_rules_number(hx_rules *rules, uint64_t epoch)
{
    rules->epoch = epoch;
}

uint64_t hx_rules_epoch(const hx_rules *rules)
{
    return rules ? rules->epoch : 0;
}

const hx_rule *hx_rules_get(const hx_rules *rules, uint32_t index)
{
    return index < rules->book.rule_count ? &rules->book.rules[index] : NULL;
}

const char *hx_rules_digest(const hx_rules *rules)
{
    return rules->digest;
}

const char *hx_rules_name(const hx_rules *rules)
{
    return rules->name;
}

bool hx_rules_use(const hx_rules *rules, hx_rule_field field)
{
    return rules->uses >> field & 1;
}

uint64_t hx_rules_hits(const hx_rules *rules, uint32_t index)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < rules->seat_count; i++)
        sum += hx_rule_seat_hits(rules->seats[i], index);
    return sum;
}

hx_rule_seat *hx_rules_seat(const hx_rules *rules, uint32_t index)
{
    return index < rules->seat_count ? rules->seats[index] : NULL;
}
