/* The dispatch table: a row per instruction set, a line per kernel, oldest first. Where a newer set has no sibling of
   its own, its row names the best older one, so reading this file tells what runs where. */
#include "kernels/kernels.h"

#include <assert.h>

static const struct kernels scalar = {
    .level = CPU_SCALAR,
    .resize_across = fm_resize_across_c,
    .resize_blend_u8 = fm_resize_blend_u8_c,
    .resize_blend_f32 = fm_resize_blend_f32_c,
    .convert_u8 = fm_convert_u8_c,
    .convert_f32 = fm_convert_f32_c,
    .warp_row = fm_warp_row_c,
    .score_scan = fm_score_scan_c,
    .iou_find = fm_iou_find_c,
    .dot = fm_dot_c,
};

#if defined(__x86_64__)
static const struct kernels avx2 = {
    .level = CPU_AVX2,
    .resize_across = fm_resize_across_avx2,
    .resize_blend_u8 = fm_resize_blend_u8_avx2,
    .resize_blend_f32 = fm_resize_blend_f32_avx2,
    .convert_u8 = fm_convert_u8_avx2,
    .convert_f32 = fm_convert_f32_avx2,
    .warp_row = fm_warp_row_avx2,
    .score_scan = fm_score_scan_avx2,
    .iou_find = fm_iou_find_avx2,
    .dot = fm_dot_avx2,
};

static const struct kernels avx512 = {
    .level = CPU_AVX512,
    .resize_across = fm_resize_across_avx512,
    .resize_blend_u8 = fm_resize_blend_u8_avx512,
    .resize_blend_f32 = fm_resize_blend_f32_avx512,
    .convert_u8 = fm_convert_u8_avx2,
    .convert_f32 = fm_convert_f32_avx2,
    .warp_row = fm_warp_row_avx512,
    .score_scan = fm_score_scan_avx512,
    .iou_find = fm_iou_find_avx512,
    .dot = fm_dot_avx512,
};
#elif defined(__aarch64__)
static const struct kernels neon = {
    .level = CPU_NEON,
    .resize_across = fm_resize_across_neon,
    .resize_blend_u8 = fm_resize_blend_u8_neon,
    .resize_blend_f32 = fm_resize_blend_f32_neon,
    .convert_u8 = fm_convert_u8_neon,
    .convert_f32 = fm_convert_f32_neon,
    .warp_row = fm_warp_row_neon,
    .score_scan = fm_score_scan_neon,
    .iou_find = fm_iou_find_neon,
    .dot = fm_dot_neon,
};
#endif

static const struct kernels *row_of(enum cpu_level level) {
#if defined(__x86_64__)
    return level == CPU_AVX512 ? &avx512 : level == CPU_AVX2 ? &avx2 : &scalar;
#elif defined(__aarch64__)
    return level == CPU_NEON ? &neon : &scalar;
#else
    (void)level;
    return &scalar;
#endif
}

const struct kernels *fm_kernels(enum cpu_level level) {
    const struct kernels *row = row_of(level);
    assert(row->resize_across != NULL && row->resize_blend_u8 != NULL && row->resize_blend_f32 != NULL);
    assert(row->convert_u8 != NULL && row->convert_f32 != NULL && row->warp_row != NULL);
    assert(row->score_scan != NULL && row->iou_find != NULL && row->dot != NULL);
    return row;
}
