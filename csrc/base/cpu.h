/* SPDX-License-Identifier: BSD-3-Clause
 *
 * What threads.c asks about processors.
 */
#ifndef RK_CPU_H
#define RK_CPU_H

/* Processors this process may run on, at the time of the call. */
int rk_cpu_affinity(void);

/* The cgroup's processor quota (version 2), rounded up; 0 when there is none. `groups` is
 * the file that names the process's group (/proc/self/cgroup), `root` where the groups are
 * mounted (/sys/fs/cgroup). The strictest of the group and those above it holds. */
int rk_cpu_quota(const char *groups, const char *root);

#endif
