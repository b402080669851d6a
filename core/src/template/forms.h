/* The templates of messages that came before, by their form: the message with every digit made a
 * zero. The tokenizer asks whether a byte is a digit and never which, and what holds one is masked,
 * so messages of one form have the same tokens but for values, and match the same template. Most
 * messages of a log have a form that came shortly before.
 *
 * A bounded number of forms is kept; a new one takes the place of the one that lay there, unless
 * that has been found since another wanted its place: messages that come once, with a name or a key
 * of their own, do not push out those that come again. */
#ifndef HAECHI_TEMPLATE_FORMS_H
#define HAECHI_TEMPLATE_FORMS_H

#include <haechi/slice.h>

#include <stdbool.h>
#include <stdint.h>

#define HX_FORM_BYTES                                                                              \
    240                /* of the longest message that is kept; a form is four cache lines then     \
                        */
#define HX_FORMS 16384 /* a power of two; logs of many programs use thousands */

typedef struct hx_form {
    uint32_t hash; /* its low half; 0: free */
    uint32_t note; /* whatever somebody keeps by it (template.h); 0 when it comes */
    uint16_t length;
    bool used;     /* found since another message wanted its place */
    uint8_t watch; /* how many checks of values are left for each message (checks.h) */
    uint32_t key;
    char bytes[HX_FORM_BYTES];
} hx_form;

typedef struct hx_forms {
    hx_form *items;
} hx_forms;

/* Of eight bytes those that are digits: a one each. No carry goes from byte to byte: the high bits
 * are taken off before and bytes that had one are left alone. */
static inline uint64_t hx_digits_of_eight(uint64_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), high = ones * 0x80;
    uint64_t low = bytes & ~high;
    uint64_t from_zero = low + ones * (0x80 - '0'), past_nine = low + ones * (0x80 - '9' - 1);

    return (from_zero & ~past_nine & ~bytes & high) >> 7;
}

/* Eight bytes with their digits made zeros. */
static inline uint64_t hx_blank_eight(uint64_t bytes)
{
    return bytes & ~(hx_digits_of_eight(bytes) * 15);
}

#define HX_BLANKED_MOST 255 /* bytes of the longest message that is made one */

/* A message with its digits made zeros. Behind it come HX_BLANKED_ROOM zero bytes. */
#define HX_BLANKED_ROOM 32

typedef struct hx_blanked {
    char bytes[HX_BLANKED_MOST + 1 + HX_BLANKED_ROOM];
} hx_blanked;

void hx_blanked_make(hx_blanked *blanked, hx_slice message);

/* Where a message's form is, or would be. */
typedef struct hx_form_place {
    hx_form *form; /* NULL: the message is too long */
    uint64_t hash; /* never 0 */
} hx_form_place;

/* 0 or HX_ENOMEM. */
int hx_forms_init(hx_forms *forms);
void hx_forms_free(hx_forms *forms);

/* How forms are looked for, in two steps, so that the memory access between them can be waited for
 * while other messages are looked at. Both read the message and nothing around it. */
typedef struct hx_forms_way {
    /* Where the message's form is, or would be, which is fetched. */
    hx_form_place (*place)(const hx_forms *forms, hx_slice message);
    /* True where the message's form is there. Forms of the same hash are compared whole: anyone can
     * make two. False where the message is too long. */
    bool (*holds)(hx_form_place place, hx_slice message);
} hx_forms_way;

/* In plain C, and the best that this machine has. They hash differently, so a table is for one of
 * them. */
extern const hx_forms_way hx_forms_way_plain;
hx_forms_way hx_forms_way_best(void);

/* The answer of a form that was found. */
static inline uint32_t hx_form_use(hx_form_place place)
{
    if (!place.form->used) /* most are: nothing is written then */
        place.form->used = true;
    return place.form->key;
}

/* Where the bytes of a form's message end: others may write what they know of it from there on, up
 * to HX_FORM_BYTES, as long as the form lies there. */
static inline uint32_t hx_form_end(uint32_t length)
{
    return length <= 32 ? 32 : (length + 7) / 8 * 8; /* so much is compared */
}

/* Keeps the answer for a message that was not found at place. False where the one that lies there
 * stays. */
bool hx_form_keep(hx_form_place place, hx_slice message, uint32_t key);
/* The same, for a message of so many bytes that was blanked already. */
bool hx_form_keep_blanked(hx_form_place place, const hx_blanked *message, uint32_t length,
                          uint32_t key);

#endif
