/* How long one embedding of 512 floats takes to become JSON: best and mean of many, in microseconds. */
#include "base/os.h"
#include "base/text.h"

#include <stdio.h>

int main(void) {
    struct text text = {0};
    float embedding[512];
    uint64_t best = UINT64_MAX, sum = 0;
    uint32_t seed = 1;
    for (int i = 0; i < 512; i++) { /* raw ArcFace values: about -3..3, denser near zero */
        seed = seed * 1664525u + 1013904223u;
        float unit = (float)(seed >> 8) / 8388608.0f - 1.0f;
        embedding[i] = unit * unit * unit * 3.0f;
    }
    for (int round = 0; round < 1000; round++) {
        struct json json = {.text = &text};
        fm_text_clear(&text);
        uint64_t start = fm_clock_ns();
        fm_json_array_open(&json, NULL);
        for (int i = 0; i < 512; i++) {
            fm_json_float(&json, NULL, embedding[i]);
        }
        fm_json_array_close(&json);
        uint64_t took = fm_clock_ns() - start;
        best = took < best ? took : best;
        sum += took;
    }
    printf("512 floats: best %.1f us, mean %.1f us, %zu characters\n", (double)best / 1e3, (double)sum / 1e6,
           text.length);
    fm_text_reset(&text);
}
