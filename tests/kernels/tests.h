/* The tests of each group of kernels, and the benchmark. */
#ifndef FM_TESTS_KERNELS_TESTS_H
#define FM_TESTS_KERNELS_TESTS_H

#include "harness.h"
#include "kernels/kernels.h"

/* pixels.c */
void test_resize_equals_recipe(void);
void test_resize_same_size_is_identity(void);
void test_resize_stays_inside_one_column(void);
void test_convert(void);
void test_warp_equals_reference(void);
void test_warp_is_bilinear(void);
void test_warp_outside_is_black(void);
void test_warp_not_finite_is_black(void);
/* numbers.c */
void test_score_scan(void);
void test_score_scan_not_a_number(void);
void test_face_decode(void);
void test_iou_equals_reference(void);
void test_iou_at_the_threshold(void);
void test_iou_is_overlap(void);
void test_iou_not_finite(void);
void test_dot_equals_reference(void);
void test_dot_is_sum(void);
void test_table_is_full(void);
void test_mask_selects(void);
/* bench.c */
int bench_run(void);

#endif
