/* Which network addresses anybody may be sent to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/os_address.h"

static const char *const public_ones[] = {
    "1.1.1.1",         "8.8.8.8",           "9.255.255.255",   "11.0.0.0",    "100.63.255.255",  "100.128.0.0",
    "126.255.255.255", "128.0.0.0",         "169.253.255.255", "169.255.0.0", "172.15.255.255",  "172.32.0.0",
    "192.0.1.0",       "192.0.3.0",         "192.167.255.255", "192.169.0.0", "198.17.255.255",  "198.20.0.0",
    "198.51.99.255",   "198.51.101.0",      "203.0.112.255",   "203.0.114.0", "223.255.255.255", "2000::",
    "2001:200::1",     "2001:db7::1",       "2001:db9::",      "2003::1",     "2606:4700::1111", "3ffe:ffff::",
    "3fff:1000::",     "[2606:4700::1111]",
};

static const char *const others[] = {
    "0.0.0.0",
    "0.255.255.255",
    "10.0.0.0",
    "10.255.255.255",
    "100.64.0.0",
    "100.127.255.255",
    "127.0.0.0",
    "127.0.0.1",
    "127.255.255.255",
    "169.254.0.0",
    "169.254.169.254",
    "172.16.0.0",
    "172.31.255.255",
    "192.0.0.1",
    "192.0.2.255",
    "192.88.99.1",
    "192.168.0.1",
    "192.168.255.255",
    "198.18.0.0",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.9",
    "224.0.0.1",
    "239.255.255.255",
    "240.0.0.0",
    "255.255.255.255",
    "::",
    "::1",
    "[::1]",
    "::ffff:1.1.1.1",
    "::ffff:127.0.0.1",
    "::1.1.1.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::",
    "100::1",
    "1fff:ffff::",
    "2001::1",
    "2001:1ff::",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:101:101::",
    "3fff::1",
    "3fff:fff::",
    "4000::",
    "fc00::1",
    "fd12::1",
    "fe80::1",
    "fec0::1",
    "ff02::1",
};

static bool is_public(const char *text) {
    bool is_address = false, good = fm_address_text_is_public(text, &is_address);
    assert_true(is_address);
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    char bare[64];
    (void)snprintf(bare, sizeof bare, "%.*s", (int)strcspn(text + (text[0] == '['), "]"), text + (text[0] == '['));
    if (inet_pton(AF_INET, bare, &v4.sin_addr) == 1)
        assert_int_equal(fm_address_is_public(&v4, sizeof v4), good);
    else if (inet_pton(AF_INET6, bare, &v6.sin6_addr) == 1)
        assert_int_equal(fm_address_is_public(&v6, sizeof v6), good);
    else
        fail_msg("%s", text);
    assert_false(fm_address_is_public(&v4, 4) || fm_address_is_public(&v6, sizeof v6 - 1 - sizeof v4));
    return good;
}

static void blocks_and_their_edges(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof public_ones / sizeof *public_ones; i++)
        if (!is_public(public_ones[i]))
            fail_msg("%s is public", public_ones[i]);
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (is_public(others[i]))
            fail_msg("%s is not public", others[i]);
}

static void what_is_no_address(void **state) {
    (void)state;
    static const char *const names[] = {"",
                                        "localhost",
                                        "1.2.3",
                                        "1.2.3.4.5",
                                        "1.2.3.256",
                                        "0x7f.0.0.1",
                                        "[1.1.1.1]",
                                        "[]",
                                        "2606:4700::1111%eth0",
                                        "[2606:4700::1111",
                                        "1.1.1.1 ",
                                        "1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa:bbbb:cccc:dddd"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool is_address = true;
        assert_false(fm_address_text_is_public(names[i], &is_address));
        assert_false(is_address);
    }
    struct sockaddr other = {.sa_family = AF_UNIX};
    assert_false(fm_address_is_public(&other, sizeof other));
    assert_false(fm_address_is_public(&other, 0));
}

static void sockets(void **state) {
    (void)state;
    int socket = fm_socket_open(AF_INET, SOCK_STREAM, 0);
    assert_true(socket >= 0);
    close(socket);
    assert_int_equal(fm_socket_open(-1, SOCK_STREAM, 0), -1);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(blocks_and_their_edges), cmocka_unit_test(what_is_no_address),
                                       cmocka_unit_test(sockets)};
    return cmocka_run_group_tests_name("address", tests, NULL, NULL);
}
