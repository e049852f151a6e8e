/* Addresses by POSIX. Pure, but for the socket. */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "base/os_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct block4 {
    uint32_t first;
    int bits;
};

static bool is_public4(uint32_t address) {
    static const struct block4 others[] = {
        {0x00000000, 8},  /* this network */
        {0x0A000000, 8},  /* private */
        {0x64400000, 10}, /* shared, behind a carrier's translation */
        {0x7F000000, 8},  /* this machine */
        {0xA9FE0000, 16}, /* link-local; clouds keep their secrets there */
        {0xAC100000, 12}, /* private */
        {0xC0000000, 24}, /* protocol assignments */
        {0xC0000200, 24}, /* documentation */
        {0xC0586300, 24}, /* relays to IPv6 */
        {0xC0A80000, 16}, /* private */
        {0xC6120000, 15}, /* benchmarks */
        {0xC6336400, 24}, /* documentation */
        {0xCB007100, 24}, /* documentation */
        {0xE0000000, 4},  /* multicast */
        {0xF0000000, 4},  /* reserved, broadcast */
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if ((address ^ others[i].first) >> (32 - others[i].bits) == 0)
            return false;
    }
    return true;
}

/* Only 2000::/3 is given out, and of that not 2001::/23 (protocols, Teredo), 2001:db8::/32 and 3fff::/20
   (documentation), 2002::/16 (IPv4 inside). */
static bool is_public6(const uint8_t bytes[16]) {
    bool documentation = (bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0x0D && bytes[3] == 0xB8) ||
                         (bytes[0] == 0x3F && bytes[1] == 0xFF && bytes[2] < 0x10);
    return bytes[0] >> 5 == 1 && !(bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] < 2) && !documentation &&
           !(bytes[0] == 0x20 && bytes[1] == 0x02);
}

bool fm_address_is_public(const void *address, size_t size) {
    struct sockaddr base;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (size < sizeof base)
        return false;
    memcpy(&base, address, sizeof base);
    if (base.sa_family == AF_INET && size >= sizeof v4) {
        memcpy(&v4, address, sizeof v4);
        return is_public4(ntohl(v4.sin_addr.s_addr));
    }
    if (base.sa_family == AF_INET6 && size >= sizeof v6) {
        memcpy(&v6, address, sizeof v6);
        return is_public6(v6.sin6_addr.s6_addr);
    }
    return false;
}

bool fm_address_text_is_public(const char *text, bool *is_address) {
    char bare[INET6_ADDRSTRLEN + 1];
    struct in_addr v4;
    struct in6_addr v6;
    size_t length = strlen(text);
    bool bracketed = length >= 2 && text[0] == '[' && text[length - 1] == ']';
    *is_address = false;
    if (length >= sizeof bare)
        return false;
    (void)snprintf(bare, sizeof bare, "%.*s", (int)(bracketed ? length - 2 : length), text + bracketed);
    if (!bracketed && inet_pton(AF_INET, bare, &v4) == 1) {
        *is_address = true;
        return is_public4(ntohl(v4.s_addr));
    }
    *is_address = inet_pton(AF_INET6, bare, &v6) == 1;
    return *is_address && is_public6(v6.s6_addr);
}

int fm_socket_open(int family, int kind, int protocol) {
    return socket(family, kind | SOCK_CLOEXEC, protocol);
}
