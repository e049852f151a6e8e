/* The device tests, and how they open a device. */
#ifndef FM_TESTS_DEVICE_TESTS_H
#define FM_TESTS_DEVICE_TESTS_H

#include "device/device.h"
#include "harness.h"

/* The CPU device for each instruction set of this machine, reference first. Returns how many. */
size_t devices_open(struct device *devices[4]);
void devices_close(struct device *devices[4], size_t count);

/* pictures.c */
void test_fit(void);
void test_letterbox_equals_recipe(void);
void test_letterbox_refuses_other_types(void);
void test_letterbox_keeps_its_memory(void);
void test_warp_forms_agree(void);
void test_warp_follows_the_matrix(void);
void test_warp_of_no_matrix(void);
/* faces.c */
void test_decode_layouts(void);
void test_decode_capacity_and_order(void);
void test_decode_not_a_number(void);
void test_nms_cases(void);
void test_nms_equals_straight_one(void);
void test_nms_rivals(void);
void test_nms_not_finite(void);
void test_nms_in_place_equals(void);
void test_nms_keeps_its_memory(void);
void test_norms(void);

#endif
