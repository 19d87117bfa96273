#pragma once
#include <stdexcept>
#include <string>
#include <utility>

// What every function of the addon throws: lib/errors.ts turns it into a SteeringError.
// `code` is one of that file's codes; `llama_status` is what llama.cpp returned, 0 if it returned nothing.
struct failure : std::runtime_error {
    failure(std::string code, const std::string & message, int llama_status = 0, std::string state = "")
        : std::runtime_error(message), code(std::move(code)), llama_status(llama_status), state(std::move(state)) {}

    std::string code;
    int         llama_status;
    std::string state; // what remains of the failed call; empty = nothing changed
};

// For an exception whose text cannot be read. llama.cpp's functions throw, and the prebuilt addons for macOS and Windows have a C++
// library of their own, to which `std::exception` is another type.
constexpr const char * UNREADABLE_ERROR = "llama.cpp threw an exception; LLAMA_STEER_DEBUG=llama shows its log";
