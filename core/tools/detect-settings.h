/* What haechi-detect may be told, on the command line and in the JSON of --config. */
#ifndef HAECHI_TOOLS_DETECT_SETTINGS_H
#define HAECHI_TOOLS_DETECT_SETTINGS_H

#include <haechi/engine.h>

#define PATHS_MAX   4096
#define PINS_MAX    64
#define LISTENS_MAX 64

enum { EXIT_USAGE = 2 };

typedef struct settings {
    hx_engine_config engine;
    const char *summary;
    double checkpoint_interval_s, repeat_s;
    const char *paths[PATHS_MAX];
    uint32_t pin[PINS_MAX];
    const char *framing, *after_loss, *on_overload;
    hx_listen_config network; /* what all listeners have in common */
    hx_listen_config listen[LISTENS_MAX];
    const char *listen_text[LISTENS_MAX];
    hx_listen_place place[LISTENS_MAX];
} settings;

void settings_help(void);
/* From argv and what it names, over the defaults in *s, whose engine may then be made. A mistake of
 * the user's ends the program, with a sentence. */
void settings_read(settings *s, int argc, char **argv);

#endif
