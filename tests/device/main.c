/* Device tests: every operation of the CPU row, on every instruction set of this machine, which must all give the same
 * bytes. */
#include "tests.h"

#include <stdlib.h>
#include <string.h>

size_t devices_open(struct device *devices[4]) {
    enum cpu_level levels[4];
    size_t count = available_levels(levels);
    for (size_t i = 0; i < count; i++) {
        if (fm_device_row(0)->open(0, levels[i], &devices[i], NULL) != FM_OK) {
            abort();
        }
    }
    return count;
}

void devices_close(struct device *devices[4], size_t count) {
    for (size_t i = 0; i < count; i++) {
        fm_device_ops(devices[i])->close(devices[i]);
    }
}

static void test_table(void) {
    CHECK(strcmp(fm_device_row(0)->name, "cpu") == 0, "the first row is %s", fm_device_row(0)->name);
    CHECK(fm_device_row(1) == NULL, "a second row");
    fm_device_row(0)->close(NULL);
}

static void test_memory(void) {
    struct device *devices[4];
    size_t count = devices_open(devices);
    const struct device_ops *ops = fm_device_ops(devices[0]);
    uint8_t *block = ops->alloc(devices[0], 1001), bytes[1001], back[1001];
    random_fill(bytes, sizeof bytes);
    CHECK((uintptr_t)block % FM_ALIGNMENT == 0, "not aligned");
    memset(block + 1001, 1, FM_PADDING);
    CHECK(ops->upload(devices[0], block, bytes, 1001, NULL) == FM_OK, "upload");
    CHECK(ops->wait(devices[0], NULL) == FM_OK, "wait");
    CHECK(ops->download(devices[0], back, block, 1001, NULL) == FM_OK, "download");
    CHECK(memcmp(bytes, back, sizeof bytes) == 0, "other bytes came back");
    ops->free(devices[0], block);
    ops->free(devices[0], NULL);
    CHECK(fm_device_level(devices[count - 1]) >= fm_device_level(devices[0]), "levels");
    devices_close(devices, count);
}

static const struct test tests[] = {
    {"the table begins with the cpu", test_table},
    {"memory goes up and comes down", test_memory},
    {"fit of the letterbox", test_fit},
    {"letterbox equals the recipe", test_letterbox_equals_recipe},
    {"letterbox refuses other types", test_letterbox_refuses_other_types},
    {"letterbox keeps its memory", test_letterbox_keeps_its_memory},
    {"warp into a batch and into rgb agree", test_warp_forms_agree},
    {"warp follows the matrix", test_warp_follows_the_matrix},
    {"warp of a matrix without an inverse", test_warp_of_no_matrix},
    {"decode of each layout", test_decode_layouts},
    {"decode continues order and stops at its capacity", test_decode_capacity_and_order},
    {"decode never passes NaN", test_decode_not_a_number},
    {"nms of known cases", test_nms_cases},
    {"nms equals a straight one", test_nms_equals_straight_one},
    {"nms finds rivals", test_nms_rivals},
    {"nms of boxes that are not finite", test_nms_not_finite},
    {"nms without memory gives the same", test_nms_in_place_equals},
    {"nms keeps its memory", test_nms_keeps_its_memory},
    {"norms", test_norms},
};

int main(void) {
    return harness_run(tests, sizeof tests / sizeof *tests);
}
