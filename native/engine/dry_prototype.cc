#include "engine/dry_prototype.h"

#include <tuple>

bool dry_options::operator==(const dry_options & other) const {
    const auto fields = [](const dry_options & each) {
        return std::tie(each.multiplier, each.base, each.allowed_length, each.last_n, each.breakers);
    };
    return fields(*this) == fields(other);
}

llama_sampler * dry_prototype::make(const llama_vocab * vocab, const dry_options & options) {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!last_ || !(options_ == options)) {
        std::vector<const char *> breakers;
        for (const auto & breaker : options.breakers) breakers.push_back(breaker.c_str());
        last_.reset(llama_sampler_init_dry(vocab, options.multiplier, options.base, options.allowed_length, options.last_n,
            breakers.data(), breakers.size()));
        options_ = options;
    }
    return llama_sampler_clone(last_.get());
}
