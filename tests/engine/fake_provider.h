/* A provider made for tests, whose runs wait at a gate: what happens meanwhile can then be seen without luck. The
   detector answers every picture with one face, whose score tells the picture's grey; the embedder answers with the
   grey of the crop's middle. A test that uses it puts it before the table: -Wl,--wrap=fm_provider_find. */
#ifndef FM_TESTS_ENGINE_FAKE_PROVIDER_H
#define FM_TESTS_ENGINE_FAKE_PROVIDER_H

#include <stdatomic.h>

#include "engine/engine.h"

#define DET_SIDE 64
#define VALUES 64
#define MOST 8
#define PATIENCE_NS UINT64_C(10000000000)

/* Where runs of one kind wait. */
struct gate {
    struct os_mutex mutex;
    struct os_cond changed;
    bool closed;
    int inside; /* runs waiting now */
};
enum { EMBEDDER = 0, DETECTOR = 1, OPENING = 2, GATES = 3 }; /* runs of each kind; sessions being opened */
extern struct gate gates[GATES];
void gate_pass(struct gate *gate);
void gate_set(struct gate *gate, bool closed);
/* Until that many runs wait there. */
void gate_wait_for(struct gate *gate, int inside);

extern struct provider fake; /* as fresh() leaves it, with what a test changes */
/* Sessions opened, runs done and images in those, of each kind, those of fm_engine_open included; what was asked for.
 */
extern atomic_int opens[2], runs[2], images[2], device_seen, precision_seen;

/* cmocka's set-up and tear-down. */
int fresh(void **state);
int clean(void **state);
fm_engine *engine_on_fake(fm_engine_options options);

struct picture {
    uint8_t rgb[DET_SIDE * DET_SIDE * 3];
    fm_pixels pixels;
    int level;
    atomic_int answered;
    fm_status status;
};
void picture_make(struct picture *picture, int level);
/* An fm_callback; `user` is the picture. The answer must be this picture's, not that of another in its batch. */
void take_answer(fm_result *result, void *user);
fm_ticket submit(fm_engine *engine, struct picture *picture, const fm_call_options *options);
/* Until the first open batch has that many written slots. */
void wait_until_filled(struct network *network, int count);

#endif
