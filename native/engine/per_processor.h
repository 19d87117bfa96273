#pragma once

// One build serves all x86 processors: hot loops are compiled twice, and one is chosen when the addon is loaded.
#if defined(__x86_64__) && defined(__linux__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define PER_PROCESSOR __attribute__((target_clones("avx2,fma", "default")))
#else
#define PER_PROCESSOR
#endif
