#pragma once
#include "engine/failure.h"
#include "engine/work_counts.h"

#include <napi.h>
#include <string>
#include <vector>

// Readers of JavaScript arguments. Each copies what it reads, and throws an E_BAD_ARGUMENT that names the argument.

template <typename Element> struct typed_array;
template <> struct typed_array<int32_t> {
    static constexpr napi_typedarray_type type = napi_int32_array;
    static constexpr const char *         name = "Int32Array";
};
template <> struct typed_array<int8_t> {
    static constexpr napi_typedarray_type type = napi_int8_array;
    static constexpr const char *         name = "Int8Array";
};
template <> struct typed_array<float> {
    static constexpr napi_typedarray_type type = napi_float32_array;
    static constexpr const char *         name = "Float32Array";
};
template <> struct typed_array<double> {
    static constexpr napi_typedarray_type type = napi_float64_array;
    static constexpr const char *         name = "Float64Array";
};

template <typename Element> std::vector<Element> read_array(const Napi::Value & value, const char * what) {
    using traits = typed_array<Element>;
    if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != traits::type) {
        throw failure("E_BAD_ARGUMENT", std::string(what) + " must be a " + traits::name);
    }
    const auto array = value.As<Napi::TypedArrayOf<Element>>();
    work_done.argument_bytes += array.ByteLength();
    return std::vector<Element>(array.Data(), array.Data() + array.ElementLength());
}

template <typename Element> Napi::Value write_array(Napi::Env env, const std::vector<Element> & values) {
    auto array = Napi::TypedArrayOf<Element>::New(env, values.size(), typed_array<Element>::type);
    std::copy(values.begin(), values.end(), array.Data());
    work_done.result_bytes += array.ByteLength();
    return array;
}

inline Napi::Object read_object(const Napi::Value & value, const char * what) {
    if (!value.IsObject()) throw failure("E_BAD_ARGUMENT", std::string(what) + " must be an object");
    return value.As<Napi::Object>();
}

inline std::string read_string(const Napi::Value & value, const char * what) {
    if (!value.IsString()) throw failure("E_BAD_ARGUMENT", std::string(what) + " must be a string");
    return value.As<Napi::String>().Utf8Value();
}

inline std::vector<std::string> read_strings(const Napi::Value & value, const char * what) {
    if (!value.IsArray()) throw failure("E_BAD_ARGUMENT", std::string(what) + " must be an array");
    const auto list = value.As<Napi::Array>();
    std::vector<std::string> strings;
    for (uint32_t i = 0; i < list.Length(); ++i) strings.push_back(read_string(list.Get(i), what));
    return strings;
}

inline bool read_bool(const Napi::Value & value, const char * what) {
    if (!value.IsBoolean()) throw failure("E_BAD_ARGUMENT", std::string(what) + " must be a boolean");
    return value.As<Napi::Boolean>().Value();
}

inline int32_t read_int(const Napi::Value & value, const char * what, int32_t least = 0) {
    const double number = value.IsNumber() ? value.As<Napi::Number>().DoubleValue() : least - 1.0;
    if (!(number >= least && number <= 2147483647.0) || number != double(int64_t(number))) {
        throw failure("E_BAD_ARGUMENT", std::string(what) + " must be an integer of at least " + std::to_string(least));
    }
    return int32_t(number);
}

inline double read_number(const Napi::Value & value, const char * what) {
    if (!value.IsNumber()) throw failure("E_BAD_ARGUMENT", std::string(what) + " must be a number");
    return value.As<Napi::Number>().DoubleValue();
}
