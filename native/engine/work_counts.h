#pragma once
#include <atomic>
#include <cstdint>

// The work done in this process so far, so that tests can count it instead of timing it. lib/native/binding.ts explains the entries.
struct work_counts {
    using count = std::atomic<uint64_t>;

    count calls{0};
    count argument_bytes{0};
    count result_bytes{0};
    count decodes{0};
    count rows{0};
    count outputs{0};
    count nodes{0};
    count stops{0};
    count synchronises{0};
    count logit_bytes{0};
    count activation_bytes{0};
    count vector_bytes{0};
};

inline work_counts work_done;
