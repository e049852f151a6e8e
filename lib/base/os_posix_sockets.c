/* Sockets by POSIX, with what Linux adds: accept4, POLLRDHUP. Nothing here keeps state. */
#define _GNU_SOURCE /* accept4, POLLRDHUP */
#include "base/os_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 4096
#define FIRST_HANDED_OVER 3
#define HANDED_OVER 64 /* at most */
#define WAIT_SOME 128  /* sockets that are waited for without an allocation */
#define DRAIN_BYTES 16384

union any_address {
    struct sockaddr base;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;
    struct sockaddr_storage room;
};

/* ---- what an address says */

static void describe(const union any_address *address, char *out, size_t size, bool with_port) {
    char host[INET6_ADDRSTRLEN] = "";
    if (address->base.sa_family == AF_INET) {
        (void)inet_ntop(AF_INET, &address->v4.sin_addr, host, sizeof host);
        (void)snprintf(out, size, with_port ? "%s:%u" : "%s", host, (unsigned)ntohs(address->v4.sin_port));
    } else if (address->base.sa_family == AF_INET6) {
        (void)inet_ntop(AF_INET6, &address->v6.sin6_addr, host, sizeof host);
        (void)snprintf(out, size, with_port ? "[%s]:%u" : "%s", host, (unsigned)ntohs(address->v6.sin6_port));
    } else if (with_port && address->local.sun_path[0]) {
        (void)snprintf(out, size, "unix:%.*s", (int)sizeof address->local.sun_path, address->local.sun_path);
    } else {
        (void)snprintf(out, size, "unix");
    }
}

static bool is_loopback(const union any_address *address) {
    if (address->base.sa_family == AF_INET)
        return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127;
    if (address->base.sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr) ||
               (IN6_IS_ADDR_V4MAPPED(&address->v6.sin6_addr) && address->v6.sin6_addr.s6_addr[12] == 127);
    return false;
}

/* Fill in what the system knows of a listening socket. */
static bool read_listener(struct os_listener *listener) {
    union any_address address = {0};
    socklen_t length = sizeof address;
    if (getsockname(listener->descriptor, &address.base, &length) != 0)
        return false;
    listener->is_local = address.base.sa_family == AF_UNIX;
    listener->is_loopback = listener->is_local || is_loopback(&address);
    describe(&address, listener->address, sizeof listener->address, true);
    return true;
}

static bool make_quiet(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    return flags >= 0 && fcntl(descriptor, F_SETFL, flags | O_NONBLOCK) == 0 &&
           fcntl(descriptor, F_SETFD, FD_CLOEXEC) == 0;
}

/* ---- TCP */

/* "HOST:PORT" or "[IPV6]:PORT" into two texts. */
static bool split(const char *where, char *host, size_t host_size, char *port, size_t port_size) {
    const char *colon = strrchr(where, ':'), *start = where, *end = colon;
    if (colon == NULL || colon[1] == 0 || strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    if (where[0] == '[') {
        start = where + 1;
        end = colon - 1;
        if (colon == where || *end != ']')
            return false;
    } else if (memchr(where, ':', (size_t)(colon - where)) != NULL) {
        return false; /* an IPv6 address without brackets */
    }
    if (end <= start || (size_t)(end - start) >= host_size || strlen(colon + 1) >= port_size ||
        strtoul(colon + 1, NULL, 10) > 65535)
        return false;
    (void)snprintf(host, host_size, "%.*s", (int)(end - start), start);
    (void)snprintf(port, port_size, "%s", colon + 1);
    return true;
}

static fm_status fail_listen(const char *where, int code, fm_error *error) {
    const char *remedy = code == EADDRINUSE      ? "; another program listens there: choose another port, or end it"
                         : code == EACCES        ? "; ports below 1024 and other people's folders need a privilege"
                         : code == EADDRNOTAVAIL ? "; this machine has no such address"
                                                 : "";
    return fm_fail(error, FM_IO, "cannot listen on '%s': %s%s", where, strerror(code), remedy);
}

static fm_status listen_tcp(const char *where, struct os_listener *listener, fm_error *error) {
    char host[128], port[8];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *found = NULL;
    if (!split(where, host, sizeof host, port, sizeof port))
        return fm_fail(error, FM_INVALID_ARGUMENT,
                       "cannot listen on '%s': write HOST:PORT (127.0.0.1:8001), [IPV6]:PORT, unix:PATH or systemd",
                       where);
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0)
        return fm_fail(error, FM_INVALID_ARGUMENT, "cannot listen on '%s': %s", where, gai_strerror(code));
    const int on = 1;
    int descriptor = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool good =
        descriptor >= 0 && setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
        /* [::] and 0.0.0.0 are two addresses, so that both can be asked for */
        (found->ai_family != AF_INET6 || setsockopt(descriptor, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0) &&
        bind(descriptor, found->ai_addr, found->ai_addrlen) == 0 && listen(descriptor, BACKLOG) == 0;
    code = errno;
    freeaddrinfo(found);
    listener->descriptor = descriptor;
    if (good && read_listener(listener))
        return FM_OK;
    fm_listener_close(listener);
    return fail_listen(where, good ? errno : code, error);
}

/* ---- Unix sockets */

static uint64_t file_number(const char *path) {
    struct stat about;
    return lstat(path, &about) == 0 ? (uint64_t)about.st_ino : 0;
}

/* A socket file stays when the program that made it was killed; one that answers is in use. */
static bool is_stale(const union any_address *address, socklen_t length) {
    struct stat about;
    if (lstat(address->local.sun_path, &about) != 0 || !S_ISSOCK(about.st_mode))
        return false;
    int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused = probe >= 0 && connect(probe, &address->base, length) != 0 && errno == ECONNREFUSED;
    fm_socket_close(probe);
    return refused;
}

static fm_status listen_local(const char *where, const char *path, struct os_listener *listener, fm_error *error) {
    union any_address address = {.local = {.sun_family = AF_UNIX}};
    size_t length = strlen(path);
    if (length == 0 || length >= sizeof address.local.sun_path)
        return fm_fail(error, FM_INVALID_ARGUMENT, "cannot listen on '%s': the path must have 1 to %zu characters",
                       where, sizeof address.local.sun_path - 1);
    memcpy(address.local.sun_path, path, length);
    int descriptor = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    listener->descriptor = descriptor;
    bool bound = descriptor >= 0 && bind(descriptor, &address.base, sizeof address.local) == 0;
    if (!bound && errno == EADDRINUSE) {
        bool stale = is_stale(&address, sizeof address.local) && unlink(path) == 0;
        errno = EADDRINUSE;
        bound = stale && bind(descriptor, &address.base, sizeof address.local) == 0;
    }
    if (bound) {
        (void)snprintf(listener->path, sizeof listener->path, "%s", path);
        listener->path_number = file_number(path);
    }
    if (bound && listen(descriptor, BACKLOG) == 0 && read_listener(listener))
        return FM_OK;
    fm_status status = fail_listen(where, errno, error);
    fm_listener_close(listener);
    return status;
}

fm_status fm_listener_open(const char *where, struct os_listener *listener, fm_error *error) {
    *listener = (struct os_listener){.descriptor = -1};
    return strncmp(where, "unix:", 5) == 0 ? listen_local(where, where + 5, listener, error)
                                           : listen_tcp(where, listener, error);
}

void fm_listener_close(struct os_listener *listener) {
    if (listener->path[0] && file_number(listener->path) == listener->path_number)
        (void)unlink(listener->path);
    fm_socket_close(listener->descriptor);
    listener->descriptor = -1;
    listener->path[0] = 0;
}

/* ---- sockets of the service manager: see sd_listen_fds(3) */

size_t fm_listeners_handed_over(void) {
    const char *process = fm_environment("LISTEN_PID"), *count = fm_environment("LISTEN_FDS");
    if (process == NULL || count == NULL || strtol(process, NULL, 10) != (long)getpid())
        return 0;
    long number = strtol(count, NULL, 10);
    return number < 0 ? 0 : number > HANDED_OVER ? HANDED_OVER : (size_t)number;
}

fm_status fm_listener_take(size_t index, struct os_listener *listener, fm_error *error) {
    int descriptor = FIRST_HANDED_OVER + (int)index, listens = 0, type = 0;
    socklen_t listens_size = sizeof listens, type_size = sizeof type;
    *listener = (struct os_listener){.descriptor = descriptor, .is_handed_over = true};
    if (getsockopt(descriptor, SOL_SOCKET, SO_ACCEPTCONN, &listens, &listens_size) == 0 && listens &&
        getsockopt(descriptor, SOL_SOCKET, SO_TYPE, &type, &type_size) == 0 && type == SOCK_STREAM &&
        make_quiet(descriptor) && read_listener(listener))
        return FM_OK;
    listener->descriptor = -1;
    return fm_fail(error, FM_INVALID_ARGUMENT,
                   "socket %d of the service manager is no listening stream socket; write ListenStream= into the "
                   "socket unit",
                   descriptor);
}

/* ---- connections */

int fm_listener_accept(const struct os_listener *listener, bool *is_full) {
    int descriptor;
    do {
        descriptor = accept4(listener->descriptor, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        /* a connection that ended while it was waiting is nobody's failure: the next may be good */
    } while (descriptor < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO));
    *is_full = descriptor < 0 && (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM);
    return descriptor;
}

bool fm_socket_is_gone(int socket) {
    struct pollfd state = {.fd = socket, .events = POLLRDHUP};
    if (poll(&state, 1, 0) <= 0)
        return false;
    if (state.revents & (POLLERR | POLLHUP | POLLNVAL))
        return true;
    int domain = 0;
    socklen_t size = sizeof domain;
    return (state.revents & POLLRDHUP) != 0 &&
           !(getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_UNIX);
}

bool fm_socket_is_finished(int socket) {
    char byte;
    return recv(socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

void fm_socket_peer(int socket, char *out, size_t size) {
    union any_address address = {0};
    socklen_t length = sizeof address;
    if (getpeername(socket, &address.base, &length) == 0)
        describe(&address, out, size, false);
    else
        (void)snprintf(out, size, "-"); /* it has left already */
}

size_t fm_socket_send(int socket, const void *bytes, size_t size) {
    ssize_t sent = send(socket, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
    return sent < 0 ? 0 : (size_t)sent;
}

bool fm_socket_drain(int socket) {
    char bytes[DRAIN_BYTES];
    ssize_t got = recv(socket, bytes, sizeof bytes, MSG_DONTWAIT);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR));
}

int fm_socket_copy(int socket) {
    return fcntl(socket, F_DUPFD_CLOEXEC, 0);
}

void fm_socket_finish(int socket) {
    (void)shutdown(socket, SHUT_WR);
}

void fm_socket_disconnect(int socket) {
    (void)shutdown(socket, SHUT_RDWR);
}

void fm_socket_close(int socket) {
    if (socket >= 0)
        (void)close(socket);
}

/* ---- waiting */

bool fm_bell_init(struct os_bell *bell) {
    if (pipe(bell->ends) != 0) {
        *bell = (struct os_bell){{-1, -1}};
        return false;
    }
    if (make_quiet(bell->ends[0]) && make_quiet(bell->ends[1]))
        return true;
    fm_bell_reset(bell);
    return false;
}

void fm_bell_ring(struct os_bell *bell) {
    ssize_t written = write(bell->ends[1], "", 1); /* a full pipe rings already */
    (void)written;
}

void fm_bell_hush(struct os_bell *bell) {
    char rings[256];
    while (read(bell->ends[0], rings, sizeof rings) > 0) {
    }
}

void fm_bell_reset(struct os_bell *bell) {
    fm_socket_close(bell->ends[0]);
    fm_socket_close(bell->ends[1]);
    *bell = (struct os_bell){{-1, -1}};
}

size_t fm_sockets_wait(const int *sockets, bool *readable, size_t count, int timeout_ms) {
    struct pollfd some[WAIT_SOME], *states = count <= WAIT_SOME ? some : fm_alloc_array(count, sizeof *states);
    memset(readable, 0, count * sizeof *readable);
    if (states == NULL)
        return 0;
    for (size_t i = 0; i < count; i++)
        states[i] = (struct pollfd){.fd = sockets[i], .events = POLLIN};
    int ready = poll(states, (nfds_t)count, timeout_ms);
    for (size_t i = 0; i < count && ready > 0; i++)
        readable[i] = states[i].revents != 0;
    if (states != some)
        fm_free(states);
    return ready > 0 ? (size_t)ready : 0;
}

/* ---- the process */

uint64_t fm_descriptors_raise(uint64_t wanted) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return 0;
    if (limit.rlim_cur < wanted) {
        struct rlimit raised = limit;
        raised.rlim_cur = limit.rlim_max < wanted ? limit.rlim_max : (rlim_t)wanted;
        if (setrlimit(RLIMIT_NOFILE, &raised) == 0)
            limit = raised;
    }
    return (uint64_t)limit.rlim_cur;
}

uint64_t fm_random_number(void) {
    uint64_t number = 0;
    if (getrandom(&number, sizeof number, GRND_NONBLOCK) != (ssize_t)sizeof number)
        number = fm_clock_ns() ^ (uint64_t)getpid() << 32;
    return number;
}

bool fm_file_is_exposed(const char *path) {
    struct stat about;
    return stat(path, &about) == 0 && (about.st_mode & (S_IRWXG | S_IRWXO)) != 0;
}
