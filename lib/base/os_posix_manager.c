/* The service manager: what systemd wants to hear from a service, over its datagram socket. The protocol is a line of
   text; no library is needed for it. */
#include "base/os_program.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

void fm_manager_tell(const char *state) {
    const char *place = fm_environment("NOTIFY_SOCKET");
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = place ? strlen(place) : 0;
    if (length < 2 || length >= sizeof address.sun_path || (place[0] != '/' && place[0] != '@'))
        return;
    memcpy(address.sun_path, place, length);
    if (place[0] == '@')
        address.sun_path[0] = 0; /* a name without a file */
    int descriptor = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (descriptor < 0)
        return;
    (void)!sendto(descriptor, state, strlen(state), 0, (const struct sockaddr *)&address,
                  (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(descriptor);
}

uint64_t fm_manager_watchdog_ns(void) {
    const char *text = fm_environment("WATCHDOG_USEC"), *whose = fm_environment("WATCHDOG_PID");
    if (!text || (whose && strtoull(whose, NULL, 10) != (unsigned long long)getpid()))
        return 0;
    return strtoull(text, NULL, 10) * 1000 / 2;
}

unsigned fm_process_number(void) {
    return (unsigned)getpid();
}
