/* Shared by the os_posix_*.c files and their tests; nobody else's. */
#ifndef FM_BASE_OS_POSIX_H
#define FM_BASE_OS_POSIX_H

/* Cores that the control groups in `membership` (a file like /proc/self/cgroup) allow, rounded up; 0: no limit.
   `root` is where the groups' file systems are mounted. */
int fm_cgroup_cores(const char *membership, const char *root);

struct os_accelerator;
/* fm_accelerators_visit with another folder in the place of /. */
void fm_accelerators_visit_below(const char *root, void (*visit)(const struct os_accelerator *accelerator, void *user),
                                 void *user);

#endif
