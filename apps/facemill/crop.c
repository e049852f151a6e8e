/* facemill crop: every face cut out and aligned as recognisers expect it, as PNG files. */
#include "job.h"

#include "base/os.h"

#include <stdio.h>

struct crops {
    struct names names;
    int size;
    struct buffer pixels;
    struct arena files; /* names of the present image's crops */
};

static fm_status crop_face(struct crops *crops, const char *path, const fm_result *result, size_t index,
                           const char **name, fm_error *error) {
    char file[4096];
    fm_status status =
        fm_picture_crop(&crops->names, path, result, index, crops->size, &crops->pixels, file, sizeof file, error);
    if (status)
        return status;
    *name = fm_arena_copy(&crops->files, file);
    return *name ? FM_OK : fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for the crops of '%s'", path);
}

static fm_status crop_finish(const char *path, const fm_result *result, struct record_options *record, void *user,
                             fm_error *error) {
    struct crops *crops = user;
    size_t count = fm_result_face_count(result), done = 0;
    fm_status status = FM_OK;
    fm_arena_reset(&crops->files);
    const char **files = fm_arena_alloc(&crops->files, (count + 1) * sizeof *files);
    if (!files)
        return fm_fail(error, FM_OUT_OF_MEMORY, "out of memory for the crops of '%s'", path);
    while (done < count && !status) {
        status = crop_face(crops, path, result, done, &files[done], error);
        done += !status;
    }
    while (status && done > 0)
        remove(files[--done]); /* an image has all of its crops or an error record */
    record->crops = files;
    return status;
}

int fm_command_crop(struct program *program) {
    const struct config *config = &program->config;
    struct crops crops = {.names = {.folder = fm_config_text(config, OPT_DIR)},
                          .size = (int)fm_config_integer(config, OPT_SIZE),
                          .files = {.limit = (size_t)64 << 20}};
    fm_error error = {0};
    if (!crops.names.folder)
        return fm_complain_usage(config, "--dir DIR is needed: where the crops go");
    if (crops.size % 112 != 0 && crops.size % 128 != 0)
        return fm_complain_usage(config, "--size: '%d' is not a value of it; expected a multiple of 112 or 128",
                                 crops.size);
    if (fm_folder_make(crops.names.folder, &error))
        return fm_complain(config, &error);
    int code = fm_job_run(
        program,
        &(struct job_kind){.compute = FM_COMPUTE_DETECT, .keep_pixels = true, .finish = crop_finish, .user = &crops});
    fm_names_reset(&crops.names);
    fm_buffer_reset(&crops.pixels);
    fm_arena_reset(&crops.files);
    return code;
}
