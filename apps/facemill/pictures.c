/* Pictures: naming and writing annotated copies and crops. Names depend on the order of inputs only, which is the order
   of output, so that a second run gives the same files. */
#include "pictures.h"

#include "base/os.h"
#include "program.h"
#include "record.h"

#include <stdio.h>
#include <string.h>

/* FNV-1a, never 0: two names of one run sharing it would only cost a "-2". */
static uint64_t digest(const char *name) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return hash | 1;
}

static bool insert(uint64_t *taken, size_t capacity, uint64_t key) {
    size_t at = (size_t)(key >> 1) & (capacity - 1);
    while (taken[at] && taken[at] != key)
        at = (at + 1) & (capacity - 1);
    bool fresh = taken[at] == 0;
    taken[at] = key;
    return fresh;
}

static bool grow(struct names *names) {
    size_t capacity = names->capacity ? names->capacity * 2 : 1024;
    uint64_t *taken = fm_alloc_array(capacity, sizeof *taken);
    if (!taken)
        return false;
    for (size_t i = 0; i < names->capacity; i++) {
        if (names->taken[i])
            (void)insert(taken, capacity, names->taken[i]);
    }
    fm_free(names->taken);
    names->taken = taken;
    names->capacity = capacity;
    return true;
}

void fm_names_reset(struct names *names) {
    fm_free(names->taken);
    *names = (struct names){0};
}

fm_status fm_names_make(struct names *names, const char *path, const char *suffix, char *out, size_t size,
                        fm_error *error) {
    const char *base = strcmp(path, "-") == 0 ? "stdin" : fm_base_name(path);
    const char *dot = strrchr(base, '.');
    int stem = (int)(dot && dot != base ? (size_t)(dot - base) : strlen(base));
    char name[320];
    stem = stem > 200 ? 200 : stem; /* leaves room below the usual limit of 255 bytes */
    for (unsigned copy = 1;; copy++) {
        if (names->count * 2 >= names->capacity && !grow(names))
            return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory while naming pictures in '%s'", names->folder);
        if (copy == 1)
            snprintf(name, sizeof name, "%.*s.%s", stem, base, suffix);
        else
            snprintf(name, sizeof name, "%.*s-%u.%s", stem, base, copy, suffix);
        if (insert(names->taken, names->capacity, digest(name)))
            break;
    }
    names->count++;
    if (!fm_path_join(out, size, names->folder, name))
        return fm_fail(error, FM_LIMIT, "the path of '%s' in '%s' is too long", name, names->folder);
    return FM_OK;
}

fm_status fm_picture_write(struct names *names, const char *path, const char *suffix, const fm_pixels *pixels,
                           fm_error *error) {
    fm_error no_jpeg = {0};
    char file[4096];
    fm_status status = fm_names_make(names, path, suffix, file, sizeof file, error);
    if (status)
        return status;
    status = fm_image_write(pixels, file, FM_FILE_JPEG, &no_jpeg);
    if (status == FM_UNSUPPORTED) {
        memcpy(strrchr(file, '.'), ".png", 5);
        return fm_image_write(pixels, file, FM_FILE_PNG, error);
    }
    return status ? fm_fail(error, status, "%s", no_jpeg.message) : FM_OK;
}

fm_status fm_picture_annotate(struct names *names, const char *path, const fm_result *result, fm_error *error) {
    fm_pixels pixels = fm_result_pixels(result);
    fm_image *image = NULL;
    fm_status status = fm_annotate(&pixels, result, NULL, &image, error);
    if (!status) {
        fm_pixels drawn = fm_image_pixels(image);
        status = fm_picture_write(names, path, "faces.jpg", &drawn, error);
    }
    fm_image_free(image);
    return status;
}

fm_status fm_picture_crop(struct names *names, const char *path, const fm_result *result, size_t index, int size,
                          struct buffer *pixels, char *out, size_t out_size, fm_error *error) {
    fm_pixels image = fm_result_pixels(result);
    const fm_face *face = fm_result_face(result, index);
    const char *words;
    char suffix[32];
    if (!fm_buffer_resize(pixels, (size_t)size * (size_t)size * 3))
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for a crop of %d x %d", size, size);
    fm_error why = {0};
    fm_status status = fm_crop_aligned(&image, face->landmarks, size, pixels->bytes, &why);
    if (status == FM_INVALID_ARGUMENT) { /* the size was checked: it is the landmarks */
        status = fm_face_unaligned(face, &words);
        return fm_fail(error, status, "face %zu cannot be cut out: %s", index + 1, words);
    }
    if (status)
        return fm_fail(error, status, "%s", why.message);
    snprintf(suffix, sizeof suffix, "face%zu.png", index + 1);
    status = fm_names_make(names, path, suffix, out, out_size, error);
    fm_pixels crop = {.struct_size = sizeof crop, .data = pixels->bytes, .width = size, .height = size};
    return status ? status : fm_image_write(&crop, out, FM_FILE_PNG, error);
}
