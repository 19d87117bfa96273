#pragma once
#include <atomic>

// Counts the living objects of a class, so that tests can check that nothing leaks.
template <typename Counted> class counted {
public:
    counted() { ++count_; }
    ~counted() { --count_; }
    counted(const counted &) = delete;
    counted & operator=(const counted &) = delete;

    static int alive() { return count_; }

private:
    static inline std::atomic<int> count_{0};
};
