#pragma once
#include "llama.h"

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

// Penalties for repeated sequences ("don't repeat yourself").
struct dry_options {
    float       multiplier     = 0; // 0 = off
    float       base           = 1.75f;
    int32_t     allowed_length = 2;
    int32_t     last_n         = 64;
    std::vector<std::string> breakers;

    bool operator==(const dry_options & other) const;
};

// Makes DRY samplers for one vocabulary. llama.cpp compares every sequence breaker with every token, which takes a tenth of a second,
// so the last sampler is kept, and cloned for the same options.
class dry_prototype {
public:
    // A sampler without history; the caller owns it. On any thread.
    llama_sampler * make(const llama_vocab * vocab, const dry_options & options);

private:
    std::mutex                                                    mutex_;
    dry_options                                                   options_;
    std::unique_ptr<llama_sampler, decltype(&llama_sampler_free)> last_{nullptr, llama_sampler_free};
};
