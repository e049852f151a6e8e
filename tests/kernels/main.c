/* Kernel tests: every kernel on every instruction set this machine has, against its C reference and against an
   independent straight implementation. With --bench the same program measures them. */
#include <string.h>

#include "tests.h"

static const struct test tests[] = {
    {"table is full", test_table_is_full},
    {"FM_CPU_MASK selects the instruction set", test_mask_selects},
    {"resize equals the recipe", test_resize_equals_recipe},
    {"resize to the same size changes nothing", test_resize_same_size_is_identity},
    {"resize of one column or row reads nothing beyond", test_resize_stays_inside_one_column},
    {"convert", test_convert},
    {"warp equals the reference", test_warp_equals_reference},
    {"warp is bilinear", test_warp_is_bilinear},
    {"warp outside the image is black", test_warp_outside_is_black},
    {"warp at positions that are not finite is black", test_warp_not_finite_is_black},
    {"score scan", test_score_scan},
    {"score scan never passes NaN", test_score_scan_not_a_number},
    {"face decode", test_face_decode},
    {"iou equals the reference", test_iou_equals_reference},
    {"iou at the threshold is not above it", test_iou_at_the_threshold},
    {"iou is overlap", test_iou_is_overlap},
    {"iou of boxes that are not finite", test_iou_not_finite},
    {"dot equals the reference", test_dot_equals_reference},
    {"dot is the sum", test_dot_is_sum},
};

int main(int argc, char **argv) {
    if (argc == 2 && strcmp(argv[1], "--bench") == 0) {
        return bench_run();
    }
    return harness_run(tests, sizeof tests / sizeof *tests);
}
