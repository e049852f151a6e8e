/* sha256.h against FIPS 180-4's examples, the edges of the padding, and every way to cut the input. */
#include "base/sha256.h"

#include "unit.h"

#include <string.h>

static void digest(const char *bytes, size_t size, char hex[65]) {
    struct sha256 sha;
    fm_sha256_init(&sha);
    fm_sha256_add(&sha, bytes, size);
    fm_sha256_hex(&sha, hex);
}

static void test_examples(void **state) {
    (void)state;
    static const struct {
        const char *text, *hex;
    } rows[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
        {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqr"
         "stu",
         "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
    };
    char hex[65];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        digest(rows[i].text, strlen(rows[i].text), hex);
        assert_string_equal(hex, rows[i].hex);
    }
}

static void test_million_a(void **state) {
    (void)state;
    struct sha256 sha;
    char hex[65], piece[1000];
    memset(piece, 'a', sizeof piece);
    fm_sha256_init(&sha);
    for (int i = 0; i < 1000; i++) {
        fm_sha256_add(&sha, piece, sizeof piece);
    }
    fm_sha256_hex(&sha, hex);
    assert_string_equal(hex, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

/* SHA-256 over the 65-byte line of each length's digest: one number for all 200 lengths, from coreutils' sha256sum. */
static void test_every_length(void **state) {
    (void)state;
    struct sha256 all;
    char bytes[200], hex[65];
    memset(bytes, 'x', sizeof bytes);
    fm_sha256_init(&all);
    for (size_t size = 0; size < sizeof bytes; size++) {
        digest(bytes, size, hex);
        fm_sha256_add(&all, hex, 64);
        fm_sha256_add(&all, "\n", 1);
    }
    fm_sha256_hex(&all, hex);
    assert_string_equal(hex, "eefa31ba9c6db774cb2535a4059ef29c02021837d737e3a51351ffc7fa629899");
}

static void test_every_cut(void **state) {
    (void)state;
    char bytes[300], whole[65], cut[65];
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (char)(i * 37);
    }
    digest(bytes, sizeof bytes, whole);
    for (size_t first = 0; first <= sizeof bytes; first++) {
        struct sha256 sha;
        fm_sha256_init(&sha);
        fm_sha256_add(&sha, bytes, first);
        fm_sha256_add(&sha, bytes + first, sizeof bytes - first);
        fm_sha256_hex(&sha, cut);
        assert_string_equal(cut, whole);
    }
}

/* The CPU's own instructions against the reference: every number of blocks, any contents, any chaining value. */
static void test_fast_sibling(void **state) {
    (void)state;
    sha256_function *fast = fm_sha256_fast_blocks();
    if (fast == NULL) {
        print_message("this CPU has no SHA instructions that we use\n");
        skip();
    }
    uint8_t blocks[64 * 9 + 1];
    uint32_t seed = 7, expected[8], actual[8];
    for (int round = 0; round < 500; round++) {
        for (size_t i = 0; i < sizeof blocks; i++) {
            seed = seed * 1664525u + 1013904223u;
            blocks[i] = (uint8_t)(seed >> 24);
        }
        for (int i = 0; i < 8; i++) {
            seed = seed * 1664525u + 1013904223u;
            expected[i] = actual[i] = seed;
        }
        fm_sha256_blocks(expected, blocks + 1, (size_t)round % 10);
        fast(actual, blocks + 1, (size_t)round % 10);
        assert_memory_equal(actual, expected, sizeof actual);
    }
}

/* FIPS 180-4's "abc" by the reference, whatever this CPU would choose. */
static void test_reference(void **state) {
    (void)state;
    struct sha256 sha;
    char hex[65];
    fm_sha256_init(&sha);
    sha.add_blocks = fm_sha256_blocks;
    fm_sha256_add(&sha, "abc", 3);
    fm_sha256_hex(&sha, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_examples),  cmocka_unit_test(test_fast_sibling), cmocka_unit_test(test_reference),
        cmocka_unit_test(test_million_a), cmocka_unit_test(test_every_length), cmocka_unit_test(test_every_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
