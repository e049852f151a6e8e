/* Fuzzer: fm_image_read on any bytes, with limits so tight that a case is quick and small. A decoded image must be
   what the decoder says it is; a refusal must have a status and words. */
#include "image/image.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* Leaks of the codecs themselves, met here and bounded by the size of one damaged file: libheif does not take back the
   40-byte handle of an empty AV1 item. What facemill allocates is not named, so its leaks are still findings. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) {
    return "leak:libdav1d\n";
}

static void require(bool condition) {
    if (!condition)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    const fm_limits limits = {.struct_size = sizeof limits,
                              .max_file_bytes = 1 << 20,
                              .max_pixels = 1 << 20,
                              .max_width = 4096,
                              .max_height = 4096,
                              .accept_truncated = size & 1};
    struct image image = {0};
    fm_error error = {0};
    fm_status status = fm_image_read(&image, bytes, size, "fuzz", &limits, &error);
    if (status) {
        require(error.status == status && error.message[0] && image.width == 0 && image.height == 0);
    } else {
        require(image.width > 0 && image.height > 0 && image.orientation >= 1 && image.orientation <= 8);
        require(image.rgb.size == (size_t)image.width * (size_t)image.height * 3);
        uint32_t sum = 0;
        for (size_t i = 0; i < image.rgb.size; i++)
            sum += image.rgb.bytes[i];
        require(sum <= image.rgb.size * 255);
    }
    fm_image_reset(&image);
    return 0;
}
