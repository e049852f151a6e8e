/* HEIC and AVIF by libheif. Rotation and mirroring stand in the container (irot, imir) and libheif applies them; an
   Exif orientation beside them repeats what they say and is ignored, as the format's rules ask. Deeper samples come
   out as 8 bits. Any thread; tiles are decoded on the caller's thread, since images already run side by side. */
#include "image/codec.h"

#include <string.h>

#include <libheif/heif.h>

enum { BOX_HEADER = 8, LARGE_BOX_HEADER = 16 };
enum { SMALL_SQUARE = 16000000, SQUARE_FACTOR = 4 };

struct heif_job {
    struct heif_context *context;
    struct heif_image_handle *handle;
    struct heif_decoding_options *options;
    struct heif_image *pixels;
    struct image *image;
    const char *name;
    const fm_limits *limits;
    fm_error *error;
};

static uint64_t read_big_endian(const uint8_t *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++)
        value = value << 8 | bytes[i];
    return value;
}

/* The video decoders behind libheif conceal missing data, so the end of the file is checked here: every top-level
   box must end inside it. Size 0 means "to the end", 1 means a 64-bit size. */
static bool boxes_complete(const uint8_t *bytes, size_t size) {
    for (size_t at = 0; at < size;) {
        if (size - at < BOX_HEADER)
            return false;
        uint64_t length = read_big_endian(bytes + at, 4);
        if (length == 0)
            return true;
        if (length == 1) {
            if (size - at < LARGE_BOX_HEADER)
                return false;
            length = read_big_endian(bytes + at + BOX_HEADER, 8);
        }
        if (length < BOX_HEADER || length > size - at)
            return false;
        at += (size_t)length;
    }
    return true;
}

static fm_status fail(const struct heif_job *job, struct heif_error why) {
    fm_status status = FM_BAD_IMAGE;
    const char *remedy = "fetch the file again, or convert it to JPEG";
    if (why.subcode == heif_suberror_End_of_data || why.subcode == heif_suberror_No_meta_box)
        return fm_image_truncated(job->name, why.message, job->error);
    if (why.subcode == heif_suberror_Security_limit_exceeded) {
        status = FM_LIMIT;
        remedy = "shrink it, or raise fm_limits.max_width and max_height";
    } else if (why.code == heif_error_Memory_allocation_error) {
        status = FM_OUT_OF_MEMORY;
        remedy = "lower fm_limits.max_pixels";
    } else if (why.code == heif_error_Unsupported_filetype || why.code == heif_error_Unsupported_feature ||
               why.code == heif_error_Plugin_loading_error) {
        status = FM_UNSUPPORTED;
        remedy = why.subcode == heif_suberror_Unsupported_codec
                     ? "install libheif's decoder for it, or convert it to JPEG"
                     : "install a newer libheif, or convert it to JPEG";
    }
    int words = (int)strcspn(why.message, "\n"); /* some of libheif's end in a new line */
    return fm_fail(job->error, status, "cannot decode '%s' as HEIC or AVIF: %.*s; %s", job->name, words, why.message,
                   remedy);
}

static fm_status out_of_memory(const struct heif_job *job) {
    return fail(job, (struct heif_error){.code = heif_error_Memory_allocation_error, .message = "no memory"});
}

static int longer(int a, int b) {
    return a > b ? a : b;
}

/* libheif refuses sides that reach its limit, ours may be reached: hence one more. */
static void limit_sides(const struct heif_job *job, int longest) {
    heif_context_set_maximum_image_size_limit(job->context, longest < INT32_MAX ? longest + 1 : longest);
}

/* A grid or overlay tells its true size only while it is decoded, and libheif then allows any rectangle between the
   longest announced side and itself. That square is therefore limited too, far above any real picture's needs. */
static fm_status admit(const struct heif_job *job) {
    const struct heif_image_handle *handle = job->handle;
    int width = heif_image_handle_get_width(handle), height = heif_image_handle_get_height(handle);
    if (width < 0 || height < 0)
        width = height = 0;
    fm_status status = fm_image_admit((uint64_t)width, (uint64_t)height, job->name, job->limits, job->error);
    if (status)
        return status;
    int stored = longer(heif_image_handle_get_ispe_width(handle), heif_image_handle_get_ispe_height(handle));
    int longest = longer(longer(width, height), stored);
    uint64_t most = job->limits->max_pixels > SMALL_SQUARE ? job->limits->max_pixels : SMALL_SQUARE;
    if ((uint64_t)longest * (uint64_t)longest / SQUARE_FACTOR > most)
        return fm_fail(job->error, FM_LIMIT,
                       "'%s' is a HEIC or AVIF of %d x %d pixels, too long for its area; convert it to "
                       "JPEG or raise fm_limits.max_pixels",
                       job->name, width, height);
    limit_sides(job, longest);
    return FM_OK;
}

static fm_status read_header(struct heif_job *job, const uint8_t *bytes, size_t size) {
    job->context = heif_context_alloc();
    if (!job->context)
        return out_of_memory(job);
    limit_sides(job, longer(job->limits->max_width, job->limits->max_height));
    heif_context_set_max_decoding_threads(job->context, 0);
    struct heif_error why = heif_context_read_from_memory_without_copy(job->context, bytes, size, NULL);
    if (!why.code)
        why = heif_context_get_primary_image_handle(job->context, &job->handle);
    return why.code ? fail(job, why) : admit(job);
}

static fm_status decode_pixels(struct heif_job *job) {
    job->options = heif_decoding_options_alloc();
    if (!job->options)
        return out_of_memory(job);
    job->options->convert_hdr_to_8bit = 1;
    struct heif_error why =
        heif_decode_image(job->handle, &job->pixels, heif_colorspace_RGB, heif_chroma_interleaved_RGB, job->options);
    return why.code ? fail(job, why) : FM_OK;
}

/* The coded picture may differ in size from what the container announced, so it is asked and admitted again. */
static fm_status copy_rows(const struct heif_job *job) {
    int width = heif_image_get_width(job->pixels, heif_channel_interleaved), stride = 0;
    int height = heif_image_get_height(job->pixels, heif_channel_interleaved);
    const uint8_t *rows = heif_image_get_plane_readonly(job->pixels, heif_channel_interleaved, &stride);
    if (!rows || width <= 0 || height <= 0)
        return fm_fail(job->error, FM_BAD_IMAGE, "'%s' holds no pixels of its main picture; fetch the file again",
                       job->name);
    fm_status status =
        fm_image_prepare(job->image, (uint64_t)width, (uint64_t)height, job->name, job->limits, job->error);
    if (status)
        return status;
    size_t row = (size_t)width * 3;
    for (size_t y = 0; y < (size_t)height; y++)
        memcpy(job->image->rgb.bytes + y * row, rows + y * (size_t)stride, row);
    return FM_OK;
}

fm_status fm_decode_heif(struct image *image, const uint8_t *bytes, size_t size, const char *name,
                         const fm_limits *limits, fm_error *error) {
    struct heif_job job = {.image = image, .name = name, .limits = limits, .error = error};
    fm_status status;
    if (!limits->accept_truncated && !boxes_complete(bytes, size))
        return fm_image_truncated(name, "a box of its container reaches beyond the end", error);
    status = read_header(&job, bytes, size);
    if (!status)
        status = decode_pixels(&job);
    if (!status)
        status = copy_rows(&job);
    if (job.pixels)
        heif_image_release(job.pixels);
    heif_decoding_options_free(job.options);
    if (job.handle)
        heif_image_handle_release(job.handle);
    if (job.context)
        heif_context_free(job.context);
    return status;
}
