#include "failure.h"

failure::failure(std::string code, const std::string & message, int llama_status, std::string state)
    : std::runtime_error(message), code(std::move(code)), llama_status(llama_status), state(std::move(state)) {}
