// Parsers as fuzzers and tests call them: any bytes at all, and only the errors that users see.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace elbo::fuzz {

using Bytes = std::span<const std::byte>;

struct Target {
  std::string_view name;
  std::size_t largest;   // bytes of an input
  std::size_t multiple;  // of the input's size, which parsing it may allocate ...
  std::size_t constant;  // ... beside so many bytes
  /// Parses the bytes and reads the whole result. Throws ConfigError or DataError.
  void (*parse)(Bytes);
  /// Start of mutation: valid inputs, and inputs that made the parser fail.
  std::vector<std::string> (*seeds)();
};

// One in each file of this folder.
extern const Target kCheckpoint, kCifar, kConfig, kDataset, kExif, kGzip, kIdx, kJpeg, kManifest,
    kNpy, kPictureFolder, kPng, kSafetensors, kTuning;

inline constexpr const Target* kTargets[] = {
    &kCheckpoint, &kCifar,    &kConfig, &kDataset,       &kExif, &kGzip,        &kIdx,
    &kJpeg,       &kManifest, &kNpy,    &kPictureFolder, &kPng,  &kSafetensors, &kTuning};

/// Parses, and catches the allowed exceptions. Other exceptions propagate. Throws std::logic_error
/// if a message is not one line or too long, or if the peak allocation exceeds the target's limit.
void check(const Target& target, Bytes input);

}  // namespace elbo::fuzz
