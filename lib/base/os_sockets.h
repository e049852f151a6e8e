/* What a server needs of the operating system: listening sockets, what became of a connected one, waiting for several,
   the limit of open files. POSIX; a socket is its descriptor. */
#ifndef FM_BASE_OS_SOCKETS_H
#define FM_BASE_OS_SOCKETS_H

#include "base/os.h"

#define OS_ADDRESS_SIZE 160

/* A socket that listens. {.descriptor = -1} is closed. */
struct os_listener {
    int descriptor;
    bool is_local;                 /* a Unix socket */
    bool is_loopback;              /* reached from this machine alone */
    bool is_handed_over;           /* by the service manager, who goes on listening */
    char address[OS_ADDRESS_SIZE]; /* "127.0.0.1:8001", "[::1]:8001", "unix:/run/x.sock": with the port that was chosen
                                    */
    char path[OS_ADDRESS_SIZE];    /* of a Unix socket that we made, removed at the end; else "" */
    uint64_t path_number;          /* of the file at `path`: another's is left alone */
};
/* Listen at "HOST:PORT" (port 0: any), "[IPV6]:PORT" or "unix:PATH". A Unix socket on which nobody answers is replaced.
   FM_INVALID_ARGUMENT when the address says nothing, FM_IO when it is in use or not ours. */
FM_MUST_USE fm_status fm_listener_open(const char *where, struct os_listener *listener, fm_error *error);
/* Sockets that the service manager handed to this process (LISTEN_PID, LISTEN_FDS). */
size_t fm_listeners_handed_over(void);
/* Take the one at `index`. FM_INVALID_ARGUMENT when it is no listening stream socket. */
FM_MUST_USE fm_status fm_listener_take(size_t index, struct os_listener *listener, fm_error *error);
void fm_listener_close(struct os_listener *listener);

/* The next connection, not blocking and closed in programs started from here; -1 when there is none now. `is_full`:
   this process, or the machine, has no descriptors left. */
int fm_listener_accept(const struct os_listener *listener, bool *is_full);

/* Has the other side closed it? Over TCP the end of the client's data looks the same whether it closed its socket or
   will still read (shutdown of one side): that counts as closed, as nobody could cancel anything otherwise. Unix
   sockets tell the two apart, and there only a closed one counts. */
bool fm_socket_is_gone(int socket);
/* Has the other side sent its end, and was everything before that read? */
bool fm_socket_is_finished(int socket);
/* The other side's address without its port, "unix" for a Unix socket. */
void fm_socket_peer(int socket, char *out, size_t size);
/* As many bytes as the socket takes at once. */
size_t fm_socket_send(int socket, const void *bytes, size_t size);
/* Read what is there and throw it away; false when the other side has closed. */
FM_MUST_USE bool fm_socket_drain(int socket);
int fm_socket_copy(int socket);        /* another descriptor of the same socket; -1 when there is none left */
void fm_socket_finish(int socket);     /* nothing more will be sent */
void fm_socket_disconnect(int socket); /* for both sides; the descriptor stays open */
void fm_socket_close(int socket);

/* Wakes a thread that waits in fm_sockets_wait. */
struct os_bell {
    int ends[2];
};
FM_MUST_USE bool fm_bell_init(struct os_bell *bell);
void fm_bell_ring(struct os_bell *bell);
void fm_bell_hush(struct os_bell *bell); /* takes the rings so far */
void fm_bell_reset(struct os_bell *bell);

/* Wait until one of the sockets (or a bell's ends[0]) can be read or was closed, or `timeout_ms` (-1: none) have gone.
   Negative ones are left out. How many can be read. */
size_t fm_sockets_wait(const int *sockets, bool *readable, size_t count, int timeout_ms);

/* Raise this process's limit of open files towards `wanted`, as far as it may; the limit then. */
uint64_t fm_descriptors_raise(uint64_t wanted);
uint64_t fm_random_number(void); /* unpredictable where the system can */
/* May others than its owner read the file? */
bool fm_file_is_exposed(const char *path);

#endif
