/* The reader of profiles: whatever comes, it is refused or it can be composed from. */
#include <haechi/storm.h>

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char line[HX_LINE_ROOM];
    hx_composer_config config = {.eps_milli = 1000000,
                                 .anomaly_rate = 0.3,
                                 .form = size % 3,
                                 .lanes = (uint32_t)(size / 3 % 3),
                                 .sessions = 200,
                                 .kinds = HX_ANOMALY_ALL,
                                 .disturbance_events = 20};
    hx_composer *composer = NULL;
    hx_profile *profile = NULL;
    hx_error err;

    if (hx_profile_create((const char *)data, size, &profile, &err) != 0)
        return 0;
    config.profile = profile;
    if (hx_composer_create(&config, &composer, &err) == 0) {
        uint32_t most = hx_profile_facts_get(profile).line_bytes;
        for (uint32_t i = 0; i < 600; i++) {
            if (config.lanes && i % 50 == 0)
                hx_composer_turn(composer, i / 50 % config.lanes);
            if (hx_composer_next(composer, line, NULL) > most)
                abort();
        }
        hx_composer_finish(composer);
    }
    hx_composer_destroy(composer);
    hx_profile_destroy(profile);
    return 0;
}
