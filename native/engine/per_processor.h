#pragma once

// One build serves all x86 processors: hot loops are compiled twice, and one is chosen when the addon is loaded. GCC and Clang spell the
// better of the two in different ways.
#if !defined(__x86_64__) || !defined(__linux__) || !defined(__GLIBC__)
#define PER_PROCESSOR
#elif defined(__clang__) && __clang_major__ < 19
#define PER_PROCESSOR
#elif defined(__clang__)
#define PER_PROCESSOR __attribute__((target_clones("arch=x86-64-v3", "default")))
#else
#define PER_PROCESSOR __attribute__((target_clones("avx2,fma", "default")))
#endif
