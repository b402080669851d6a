/* Texts: from "Accepted publickey for {user} from {ip}" to pieces, a literal and a value each. */
#include "storm/model.h"
#include "storm/random.h"

#include <stdio.h>
#include <stdlib.h>

int hx_storm_reserve(void **array, uint32_t *room, uint32_t count, uint32_t more, size_t item)
{
    uint64_t need = (uint64_t)count + more, want = *room ? *room : 16;
    void *grown;

    if (need <= *room)
        return 0;
    while (want < need)
        want *= 2;
    if (want > UINT32_MAX / 2)
        return HX_ENOMEM;
    grown = realloc(*array, want * item);
    if (!grown)
        return HX_ENOMEM;
    /* Copies in whole blocks read past what was written: never past what was set. */
    memset((char *)grown + (size_t)*room * item, 0, (want - *room) * item);
    *array = grown;
    *room = (uint32_t)want;
    return 0;
}

/* One text under way: its literal since the last value starts at `literal`. */
typedef struct compilation {
    hx_profile *profile;
    const storm_message *message;
    storm_text *text;
    uint32_t literal;
    uint32_t min_len, max_len;
} compilation;

static int literal_put(compilation *c, const char *bytes, uint32_t len)
{
    hx_profile *p = c->profile;
    int rc = hx_storm_reserve((void **)&p->literals, &p->literal_room, p->literal_bytes,
                              len + STORM_SLACK, 1);

    if (rc)
        return rc;
    memcpy(p->literals + p->literal_bytes, bytes, len);
    p->literal_bytes += len;
    c->min_len += len;
    c->max_len += len;
    return 0;
}

/* Ends the literal. The next one starts at a multiple of 16 bytes, so that the blocks of a copy do
 * not straddle cache lines more often than they must. */
static int literal_end(compilation *c, uint32_t *offset, uint16_t *len)
{
    hx_profile *p = c->profile;
    uint32_t end = (p->literal_bytes + 15) & ~15u;

    *offset = c->literal;
    *len = (uint16_t)(p->literal_bytes - c->literal);
    if (hx_storm_reserve((void **)&p->literals, &p->literal_room, p->literal_bytes,
                         16 + STORM_SLACK, 1))
        return HX_ENOMEM;
    p->literal_bytes = end;
    c->literal = end;
    return 0;
}

static int value_put(compilation *c, uint32_t variable)
{
    hx_profile *p = c->profile;
    const storm_variable *v = &p->variables[variable];

    for (uint32_t i = 0; i < v->part_count; i++) {
        const storm_part *part = &v->parts[i];
        uint32_t prefix_len = (uint32_t)strlen(part->prefix);
        storm_piece piece = {part->table, 0, 0, 0, (uint16_t)part->stride, part->count, part->base};
        int rc = literal_put(c, part->prefix, prefix_len);

        if (!rc)
            rc = literal_end(c, &piece.literal, &piece.literal_len);
        if (!rc)
            rc = hx_storm_reserve((void **)&p->pieces, &p->piece_room, p->piece_count, 1,
                                  sizeof *p->pieces);
        if (rc)
            return rc;
        if (v->of_session)
            piece.salt = hx_hash_u64(HX_HASH_SEED, (uint64_t)variable * STORM_PARTS_MAX + i) | 1;
        p->pieces[p->piece_count++] = piece;
        c->text->piece_count++;
        c->min_len += part->min_len - prefix_len;
        c->max_len += part->max_len - prefix_len;
    }
    return 0;
}

static int variable_find(const hx_profile *p, const char *name, size_t len)
{
    for (uint32_t i = 0; i < p->variable_count && len; i++)
        if (strlen(p->variables[i].name) == len && memcmp(p->variables[i].name, name, len) == 0)
            return (int)i;
    return -1;
}

static int compile(compilation *c, const char *where, hx_error *err)
{
    const char *s = c->message->text;
    int rc = 0;

    while (*s && !rc) {
        size_t plain = strcspn(s, "{}");

        rc = literal_put(c, s, (uint32_t)plain);
        s += plain;
        if (rc || !*s)
            continue;
        if (s[1] == s[0]) {
            rc = literal_put(c, s, 1);
            s += 2;
            continue;
        }
        size_t len = strcspn(s + 1, "{}");
        int variable = *s == '{' && s[1 + len] == '}' ? variable_find(c->profile, s + 1, len) : -1;
        if (variable < 0)
            return hx_error_set(err, HX_EINVAL,
                                "%s: \"%.60s\" starts with a brace that names no variable; a brace "
                                "itself is written twice",
                                where, s);
        if (c->text->piece_count + STORM_PARTS_MAX > STORM_PIECES_MAX)
            return hx_error_set(err, HX_EINVAL, "%s: the text has too many variables", where);
        if (variable == c->message->replaced)
            variable = c->message->by;
        rc = value_put(c, (uint32_t)variable);
        s += len + 2;
    }
    return rc;
}

static int compile_layout(hx_profile *p, uint32_t i, uint32_t layout, const char *where,
                          hx_error *err)
{
    storm_message *message = &p->messages[i];
    const storm_process *process = &p->processes[message->process];
    compilation c = {p, message, &p->texts[layout][i], p->literal_bytes, 0, 0};
    char before[STORM_NAME_MAX + STORM_SD_MAX + 8] = "";
    int rc;

    c.text->first_piece = p->piece_count;
    c.text->start = p->literal_bytes;
    c.text->pri_len = (uint8_t)snprintf(c.text->pri, sizeof c.text->pri, "<%u>",
                                        process->facility * 8u + message->severity);
    if (layout == 1)
        snprintf(before, sizeof before, "%s %s ", process->msgid, process->structured_data);
    rc = literal_put(&c, before, (uint32_t)strlen(before));
    if (!rc)
        rc = compile(&c, where, err);
    if (!rc)
        rc = literal_end(&c, &c.text->tail, &c.text->tail_len);
    if (rc)
        return rc;
    if (c.max_len > STORM_TEXT_BYTES_MAX)
        return hx_error_set(err, HX_EINVAL, "%s: the text can become %u bytes long, at most %d",
                            where, c.max_len, STORM_TEXT_BYTES_MAX);
    if (c.max_len > message->max_len)
        message->max_len = c.max_len;
    return 0;
}

int hx_storm_text_compile(hx_profile *p, uint32_t i, const char *where, hx_error *err)
{
    int rc = compile_layout(p, i, 0, where, err);

    return rc ? rc : compile_layout(p, i, 1, where, err);
}
