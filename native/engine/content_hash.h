#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

// A hash that tells whether data have changed since they were copied: as fast as they can be read, and no protection against an adversary.
// A change of a single word always changes it.
inline uint64_t content_hash(const void * data, size_t size) {
    constexpr uint64_t PRIME = 0x9e3779b97f4a7c15ull;
    constexpr size_t   LANES = 4; // independent of each other, so that their products overlap
    uint64_t lanes[LANES] = {1, 2, 3, 4};
    const auto * bytes = static_cast<const unsigned char *>(data);
    const auto mix = [&](size_t lane, const unsigned char * from, size_t n) {
        uint64_t word = 0;
        std::memcpy(&word, from, n);
        lanes[lane] = (lanes[lane] ^ word) * PRIME;
        lanes[lane] ^= lanes[lane] >> 29; // otherwise the highest bits would never reach the others
    };
    size_t at = 0;
    for (; at + LANES * 8 <= size; at += LANES * 8) {
        for (size_t lane = 0; lane < LANES; ++lane) mix(lane, bytes + at + lane * 8, 8);
    }
    for (; at < size; ++at) mix(0, bytes + at, 1);
    uint64_t hash = size;
    for (uint64_t lane : lanes) hash = (hash ^ lane) * PRIME;
    return hash ^ (hash >> 32);
}
