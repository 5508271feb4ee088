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
  /// Parses the bytes and looks at all that came of it. Throws ConfigError or DataError.
  void (*parse)(Bytes);
  /// Where mutation starts: sound inputs, and inputs that were too much for the parser once.
  std::vector<std::string> (*seeds)();
};

// One in each file of this folder.
extern const Target kCheckpoint, kCifar, kConfig, kDataset, kExif, kGzip, kIdx, kJpeg, kManifest,
    kNpy, kPictureFolder, kPng, kSafetensors, kTuning;

inline constexpr const Target* kTargets[] = {
    &kCheckpoint, &kCifar,    &kConfig, &kDataset,       &kExif, &kGzip,        &kIdx,
    &kJpeg,       &kManifest, &kNpy,    &kPictureFolder, &kPng,  &kSafetensors, &kTuning};

/// Parses and swallows what it should throw. Anything else that is thrown comes through, as does
/// std::logic_error where a message is not one line or too long to be read, or where more has been
/// allocated at a time than the target promises.
void check(const Target& target, Bytes input);

}  // namespace elbo::fuzz
