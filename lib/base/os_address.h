/* Network addresses as the system has them: which of them anybody may be sent to. POSIX. */
#ifndef FM_BASE_OS_ADDRESS_H
#define FM_BASE_OS_ADDRESS_H

#include "base/os.h"

/* Is a struct sockaddr of `size` bytes an address of the public network? Not so are those of this machine, of private
   and shared networks, link-local, multicast, reserved and documentation ones (RFC 6890 and the IANA registries), and
   IPv6 ones that have an IPv4 address inside, whichever that is. */
bool fm_address_is_public(const void *address, size_t size);
/* The same of "192.0.2.1" or "2001:db8::1" (brackets allowed); *is_address false, and false, for what is a name. */
bool fm_address_text_is_public(const char *text, bool *is_address);
/* A socket that programs started from here do not inherit; -1 when there is none. */
int fm_socket_open(int family, int kind, int protocol);

#endif
