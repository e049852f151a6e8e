/* service/packs: names that may be followed, what of an archive belongs into a pack, and replacing where the file
   system cannot exchange folders (the test stands between install.c and os_install.h). */
#include "packs/archive.h"
#include "packs/install.h"

#include "fuzz/zip_maker.h"
#include "support/onnx_maker.h"
#include "unit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

fm_status __real_fm_folder_rename(const char *from, const char *to, fm_error *error);
fm_status __wrap_fm_folder_rename(const char *from, const char *to, fm_error *error);
fm_status __real_fm_folder_exchange(const char *a, const char *b, fm_error *error);
fm_status __wrap_fm_folder_exchange(const char *a, const char *b, fm_error *error);

static struct {
    bool no_exchange;
    int failing_rename; /* 1: the next one; 0: none */
} faults;

fm_status __wrap_fm_folder_exchange(const char *a, const char *b, fm_error *error) {
    return faults.no_exchange ? fm_fail(error, FM_UNSUPPORTED, "cannot") : __real_fm_folder_exchange(a, b, error);
}

fm_status __wrap_fm_folder_rename(const char *from, const char *to, fm_error *error) {
    if (faults.failing_rename > 0 && --faults.failing_rename == 0)
        return fm_fail(error, FM_IO, "the test's own failure");
    return __real_fm_folder_rename(from, to, error);
}

static void test_names(void **state) {
    static const char *const good[] = {"a", "a/b.onnx", "a b/c", "...", "..a", "a..", "\xc3\xa4.onnx", "a/"};
    static const char *const bad[] = {"",    "/a",   "..",   "../a", "a/..", "a/../b", ".",      "./a",
                                      "a//", "a//b", "a\\b", "C:a",  "a\nb", "a\x7f",  "a/./b.x"};
    const char *why = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(fm_member_is_safe(good[i], &why));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(fm_member_is_safe(bad[i], &why));
        assert_non_null(why);
    }
    char part[300];
    memset(part, 'a', sizeof part);
    part[256] = 0;
    assert_false(fm_member_is_safe(part, &why));
    part[255] = 0;
    assert_true(fm_member_is_safe(part, &why));
    assert_true(fm_pack_name_is_good("buffalo_l-1.0"));
    assert_false(fm_pack_name_is_good(".x"));
    assert_false(fm_pack_name_is_good("a/b"));
}

/* "path>target" of what is chosen, or the failure's words. */
static void choose(const char *const *paths, size_t count, char *out, size_t size) {
    struct members *members = calloc(1, sizeof *members);
    fm_error error = {0};
    members->source = "it";
    out[0] = 0;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(fm_members_add(members, paths[i], 1, i, &error), FM_OK);
    if (fm_members_choose(members, NULL, &error))
        snprintf(out, size, "%s", error.message);
    for (size_t i = 0; i < count && !error.status; i++) {
        if (members->items[i].target)
            snprintf(out + strlen(out), size - strlen(out), "%s ", members->items[i].target);
    }
    fm_members_reset(members);
    free(members);
}

#define CHOOSE(...)                                                                                                    \
    choose((const char *const[]){__VA_ARGS__}, sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *), out,       \
           sizeof out)

static void test_choice(void **state) {
    char out[1024];
    (void)state;
    CHOOSE("a.onnx", "b.onnx", "x.bin", "LICENSE", "manifest.json");
    assert_string_equal(out, "a.onnx b.onnx LICENSE manifest.json ");
    CHOOSE("p/p/a.onnx", "p/p/readme.md", "p/NOTICE.txt", "License", "q/COPYING", "p/x.txt");
    assert_string_equal(out, "a.onnx readme.md NOTICE.txt License ");
    CHOOSE("p/a.onnx", "p/LICENSE", "LICENSE");
    assert_string_equal(out, "a.onnx LICENSE ");
    CHOOSE("manifest.json", "n/a.onnx", "m/b.onnx", "terms/MODEL.LICENSE");
    assert_string_equal(out, "manifest.json n/a.onnx m/b.onnx terms/MODEL.LICENSE ");
    CHOOSE("p/a.onnx", "pq/b.onnx");
    assert_non_null(strstr(out, "'p/' and 'pq/'"));
    CHOOSE("a.onnx", "p/b.onnx");
    assert_non_null(strstr(out, "two folders"));
    CHOOSE("q/manifest.json", "p/a.onnx");
    assert_string_equal(out, "a.onnx ");
    CHOOSE("__MACOSX/._a.onnx", ".git/b.onnx", "c.onnx");
    assert_string_equal(out, "c.onnx ");
    CHOOSE("a.txt");
    assert_non_null(strstr(out, "no .onnx file"));
    CHOOSE(".onnx", "a.onnx.txt");
    assert_non_null(strstr(out, "no .onnx file"));
}

/* ---- replacing */

struct home {
    char folder[OS_PATH_SIZE], stock[OS_PATH_SIZE], other[OS_PATH_SIZE], old[OS_PATH_SIZE];
};

static int make_place(void **state) {
    static struct home place;
    *state = &place;
    faults.no_exchange = false;
    faults.failing_rename = 0;
    bool good = fm_temporary_folder(place.folder, sizeof place.folder) &&
                fm_path_join(place.stock, sizeof place.stock, place.folder, "stock") &&
                fm_path_join(place.other, sizeof place.other, place.folder, "other") &&
                fm_path_join(place.old, sizeof place.old, place.folder, "facemill/packs/old") &&
                fm_maker_write(place.stock, "stock", NULL) == FM_OK &&
                fm_maker_write(place.other, "normalised", NULL) == FM_OK &&
                setenv("XDG_DATA_HOME", place.folder, 1) == 0;
    return good ? 0 : -1;
}

static int remove_place(void **state) {
    fm_folder_remove(((struct home *)*state)->folder);
    return 0;
}

static fm_status add(const char *source, bool replace, struct install_result *result, fm_error *error) {
    struct install_options options = {.name = "old", .replace = replace};
    return fm_install_add(source, &options, result, error);
}

static bool count_visible(const char *name, enum os_path_kind kind, void *user) {
    (void)kind;
    *(int *)user += strncmp(name, ".lock-", 6) != 0;
    return true;
}

static void digest_of(const char *folder, char sha256[65]) {
    char path[OS_PATH_SIZE];
    int visible = 0;
    snprintf(path, sizeof path, "%s/..", folder);
    assert_int_equal(fm_folder_visit(path, count_visible, &visible, NULL), FM_OK);
    assert_int_equal(visible, 1); /* nothing half done beside it */
    assert_true(fm_path_join(path, sizeof path, folder, "manifest.json"));
    assert_int_equal(fm_place_digest(path, sha256, NULL), FM_OK);
}

static void test_replace_without_exchange(void **state) {
    struct home *place = *state;
    struct install_result result;
    char before[65], after[65];
    fm_error error = {0};
    assert_int_equal(add(place->stock, false, &result, &error), FM_OK);
    digest_of(place->old, before);
    faults.no_exchange = true;
    faults.failing_rename = 1; /* of the old one out of the way */
    assert_int_equal(add(place->other, true, &result, NULL), FM_IO);
    digest_of(place->old, after);
    assert_string_equal(after, before);
    faults.failing_rename = 2; /* of the new one into its place: the old one goes back */
    assert_int_equal(add(place->other, true, &result, &error), FM_IO);
    digest_of(place->old, after);
    assert_string_equal(after, before);
    assert_int_equal(add(place->other, true, &result, NULL), FM_OK);
    assert_true(result.replaced);
    digest_of(place->old, after);
    assert_string_not_equal(after, before);
}

static void test_archive(void **state) {
    struct home *place = *state;
    char path[OS_PATH_SIZE], folder[OS_PATH_SIZE];
    struct zip_entry entries[] = {{"p/a.onnx", "abc", 3, 0, 8, 0, 0}, {"p/LICENSE", "terms", 5, 0, 0, 0100644, 0}};
    struct buffer bytes = {0};
    fm_error error = {0};
    zip_make(entries, 2, &bytes);
    assert_true(fm_path_join(path, sizeof path, place->folder, "a.zip"));
    assert_true(fm_path_join(folder, sizeof folder, place->folder, "into"));
    assert_int_equal(fm_file_write(path, bytes.bytes, bytes.size, NULL), FM_OK);
    assert_true(fm_archive_is_one(path));
    assert_int_equal(fm_folder_make(folder, NULL), FM_OK);
    fm_status status = fm_archive_unpack(path, "it", folder, NULL, &error);
    if (status == FM_UNSUPPORTED) {
        print_message("skipped: %s\n", error.message);
    } else {
        assert_int_equal(status, FM_OK);
        assert_true(fm_path_join(path, sizeof path, folder, "a.onnx"));
        assert_int_equal(fm_file_size(path), 3);
        assert_true(fm_path_join(path, sizeof path, folder, "LICENSE"));
        assert_int_equal(fm_file_size(path), 5);
    }
    fm_buffer_reset(&bytes);
}

/* ---- a pack that is known by digests of its networks alone */

static void check_known(struct home *place, const struct known_pack *known, const char *refused) {
    struct install_options options = {.name = "old", .replace = true, .known = known};
    struct install_result result;
    fm_error error = {0};
    fm_status status = fm_install_add(place->stock, &options, &result, &error);
    assert_int_equal(status, refused ? FM_BAD_MODEL : FM_OK);
    assert_int_equal(result.digest_wrong, refused != NULL);
    assert_non_null(strstr(error.message, refused ? refused : ""));
    assert_true(refused ? strstr(error.message, "nothing was installed") != NULL : error.message[0] == 0);
}

static void copy_in(struct home *place, const char *from, const char *to) {
    char source[OS_PATH_SIZE], target[OS_PATH_SIZE];
    assert_true(fm_path_join(source, sizeof source, place->stock, from));
    assert_true(fm_path_join(target, sizeof target, place->stock, to));
    assert_int_equal(fm_file_copy(source, target, PACK_MAX_FILE, NULL), FM_OK);
}

static void remove_from(struct home *place, const char *file) {
    char path[OS_PATH_SIZE];
    assert_true(fm_path_join(path, sizeof path, place->stock, file) && fm_file_remove(path));
}

static void test_networks_with_digests(void **state) {
    struct home *place = *state;
    char detector[65], embedder[65], path[OS_PATH_SIZE];
    assert_true(fm_path_join(path, sizeof path, place->stock, "detector.onnx"));
    assert_int_equal(fm_place_digest(path, detector, NULL), FM_OK);
    assert_true(fm_path_join(path, sizeof path, place->stock, "embedder.onnx"));
    assert_int_equal(fm_place_digest(path, embedder, NULL), FM_OK);
    const struct known_pack both = {.name = "known",
                                    .members = {{"detector.onnx", detector}, {"embedder.onnx", embedder}}},
                            one = {.name = "known", .members = {{"embedder.onnx", embedder}}},
                            wrong = {.name = "known", .members = {{"embedder.onnx", detector}}};
    check_known(place, &both, NULL);
    check_known(place, &one, NULL);
    check_known(place, &wrong, "embedder.onnx");
    copy_in(place, "detector.onnx", "a.onnx"); /* would be found before the listed one */
    check_known(place, &both, "a.onnx");
    check_known(place, &one, NULL); /* of a detector nothing is known */
    remove_from(place, "a.onnx");
    copy_in(place, "embedder.onnx", "z.onnx"); /* after it, but a manifest can turn the order round */
    check_known(place, &both, "z.onnx");
    check_known(place, &one, "z.onnx");
    remove_from(place, "embedder.onnx");
    check_known(place, &both, "embedder.onnx");
    check_known(place, &one, "embedder.onnx");
    const struct known_pack whole = {.name = "known", .sha256 = detector, .members = {{"embedder.onnx", embedder}}};
    check_known(place, &whole, NULL); /* its archive was compared as a whole */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_choice),
        cmocka_unit_test_setup_teardown(test_replace_without_exchange, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_networks_with_digests, make_place, remove_place),
        cmocka_unit_test_setup_teardown(test_archive, make_place, remove_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
