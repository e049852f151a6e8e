/* Accelerators as the operating system shows them, below a planted root: an NVIDIA card with its driver, an AMD one,
   and what must not be listed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/os_posix.h"
#include "base/os_program.h"

struct seen {
    struct os_accelerator list[8];
    int count;
};

static void note(const struct os_accelerator *accelerator, void *user) {
    struct seen *seen = user;
    assert_true(seen->count < 8);
    seen->list[seen->count++] = *accelerator;
}

static void plant(const char *root, const char *folder, const char *file, const char *text) {
    char path[OS_PATH_SIZE], whole[OS_PATH_SIZE];
    fm_error error = {0};
    (void)snprintf(path, sizeof path, "%.1000s/%s", root, folder);
    assert_int_equal(fm_folder_make(path, &error), FM_OK);
    assert_true(fm_path_join(whole, sizeof whole, path, file));
    assert_int_equal(fm_file_write(whole, text, strlen(text), &error), FM_OK);
}

static void cards_and_drivers_are_named(void **state) {
    (void)state;
    char root[OS_PATH_SIZE];
    struct seen seen = {.count = 0};
    assert_true(fm_temporary_folder(root, sizeof root));
    plant(root, "proc/driver/nvidia", "version",
          "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15  Tue Mar  5\n");
    plant(root, "proc/driver/nvidia/gpus/0000:01:00.0", "information", "Model: \t\t NVIDIA H200\nIRQ:   \t\t 55\n");
    plant(root, "sys/class/drm/card0/device", "vendor", "0x1002\n");
    plant(root, "sys/class/drm/card0/device", "device", "0x744c\n");
    plant(root, "sys/class/drm/card0-HDMI-A-1/device", "vendor", "0x1002\n");
    plant(root, "sys/class/drm/renderD128/device", "vendor", "0x1002\n");
    fm_accelerators_visit_below(root, note, &seen);
    assert_int_equal(seen.count, 2);
    assert_string_equal(seen.list[0].name, "NVIDIA H200");
    assert_string_equal(seen.list[0].driver, "nvidia 550.54.15");
    assert_string_equal(seen.list[1].name, "AMD 0x1002:0x744c");
    assert_string_equal(seen.list[1].driver, "");
    fm_folder_remove(root);
}

static void a_machine_without_any_lists_none(void **state) {
    (void)state;
    char root[OS_PATH_SIZE];
    struct seen seen = {.count = 0};
    assert_true(fm_temporary_folder(root, sizeof root));
    fm_accelerators_visit_below(root, note, &seen);
    assert_int_equal(seen.count, 0);
    fm_folder_remove(root);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cards_and_drivers_are_named),
        cmocka_unit_test(a_machine_without_any_lists_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
