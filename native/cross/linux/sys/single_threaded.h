#pragma once
// libstdc++ asks this variable whether it may count references without atomic instructions. glibc has it since 2.32 only, so
// an addon for older systems always uses atomic instructions.
static const char __libc_single_threaded = 0;
