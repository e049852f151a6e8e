/* Shared by the os_posix_*.c files and their tests; nobody else's. */
#ifndef FM_BASE_OS_POSIX_H
#define FM_BASE_OS_POSIX_H

/* Cores that the control groups in `membership` (a file like /proc/self/cgroup) allow, rounded up; 0: no limit.
   `root` is where the groups' file systems are mounted. */
int fm_cgroup_cores(const char *membership, const char *root);

#endif
