/* template: from a message to its log key.
 *
 * A message is cut into tokens; tokens that are values by their type (numbers, addresses, paths,
 * ids) are masked; what is left is matched to a template, a text in which <*> stands for what
 * varies. A miner learns templates from messages; a matcher applies a frozen set of them. Both use
 * the same tokenizer, and training and detection use the same matcher: a message that was learned
 * always matches afterwards, and always the same template.
 *
 * A log key is a template's index in its set: 0 .. count-1, in the order of first appearance.
 */
#ifndef HAECHI_TEMPLATE_H
#define HAECHI_TEMPLATE_H

#include <haechi/error.h>
#include <haechi/slice.h>

#define HX_KEY_UNSEEN UINT32_MAX /* the message fits no template */

typedef struct hx_miner hx_miner;
typedef struct hx_matcher hx_matcher;

/* Bounds and choices; zero means the default. One default configuration serves every log. */
typedef struct hx_miner_config {
    uint32_t max_templates;    /* default 8192, at most 65000; past it, templates are merged */
    uint32_t max_tokens;       /* of a message; default 256, at most 4096; the rest is one <...> */
    uint64_t max_memory_bytes; /* kept between messages; default 256 MiB, at least 1 MiB; past it,
                                  templates take the place of what they were learned from */
} hx_miner_config;

/* --- learning ------------------------------------------------------------------------------- */

int hx_miner_create(const hx_miner_config *config, hx_miner **out, hx_error *err);
void hx_miner_destroy(hx_miner *miner);

/* One message of any bytes, of which the first 8192 count. 0, or HX_ENOMEM where the system has no
 * memory; bounds never make it fail. The miner keeps no pointer into it. */
int hx_miner_learn(hx_miner *miner, hx_slice message);

/* The templates of everything learned so far, as the JSON text of templates.json:
 *   {"format": 1, "max_tokens": 256, "templates": [
 *     {"text": "Accepted <*> for <*> from <*>", "count": 12, "example": "...",
 *      "tokens": ["Accepted", "<*>", "for", "<+>", "from", "<#>"]}]}
 * tokens are what is matched: a word; "<#>" one value; "<*>" one word or value; "<+>" one or more;
 * "<...>" whatever is left. text is for people: <*> for all that varies, <...> for a rest. Strings
 * are UTF-8; in them a backslash is doubled, a byte that is a control character or no UTF-8 is
 * \xHH, and a "<*>" of the message itself is \<*>. *json is to be freed with free(), is not
 * NUL-terminated, and the miner may go on learning. Same messages in the same order, same bytes. */
int hx_miner_finish(hx_miner *miner, char **json, size_t *json_len, hx_error *err);

/* --- matching ------------------------------------------------------------------------------- */

/* From templates.json's text. HX_EMALFORMED or HX_EVERSION with a sentence in err; hostile input is
 * refused, not trusted. */
int hx_matcher_create(const char *json, size_t json_len, hx_matcher **out, hx_error *err);
void hx_matcher_destroy(hx_matcher *matcher);

uint32_t hx_matcher_count(const hx_matcher *matcher);
/* The text of a template, escaped as in templates.json; NUL-terminated, lives as long as the
 * matcher. NULL past the end. */
const char *hx_matcher_text(const hx_matcher *matcher, uint32_t log_key);

/* One thread's room to work in: five megabytes of answers given before, and some for max_tokens. */
typedef struct hx_match_scratch hx_match_scratch;
int hx_match_scratch_create(const hx_matcher *matcher, hx_match_scratch **out);
void hx_match_scratch_destroy(hx_match_scratch *scratch);

/* The log key of a message, or HX_KEY_UNSEEN. Of the templates that fit, the most specific: at the
 * first token where two differ, a word is preferred to a value, a value to <*>, <*> to <+>, <+> to
 * a rest. No allocation, no lock. A scratch serves one matcher. */
uint32_t hx_matcher_match(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message);

/* The same in two steps. What a scratch remembers of a message lies in memory that is mostly far
 * away: hx_matcher_look says where and fetches it, and hx_matcher_match_at, a few messages later,
 * need not wait. The place is the scratch's, good for this message until it is destroyed. */
typedef struct hx_match_place {
    void *form;
    uint64_t hash;
} hx_match_place;

hx_match_place hx_matcher_look(const hx_match_scratch *scratch, hx_slice message);
uint32_t hx_matcher_match_at(const hx_matcher *matcher, hx_match_scratch *scratch, hx_slice message,
                             hx_match_place place);

/* Where a number may be noted by the form of the message that was matched last; it is 0 where
 * nobody has since the form came, and is gone when the form goes. NULL where the form is not kept.
 * What is noted holds for all messages of the form: those that differ in their digits only. */
uint32_t *hx_matcher_note(const hx_match_scratch *scratch);
void hx_matcher_forget_notes(hx_match_scratch *scratch);

/* A hash of the message's shape (its tokens, values masked by type), the same for two messages that
 * differ only in values: what groups messages that fit no template. */
uint64_t hx_template_shape(hx_match_scratch *scratch, hx_slice message);

#endif
