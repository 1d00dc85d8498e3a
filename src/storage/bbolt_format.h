// Numbers of bbolt's file format that its writer and its reader share.
#pragma once

#include <cstdint>
#include <string_view>

namespace orch::storage::bbolt {

inline constexpr uint32_t kMagic = 0xED0CDAED;
inline constexpr uint32_t kVersion = 2;
inline constexpr size_t kHeader = 16;   // of a page
inline constexpr size_t kElement = 16;  // an item's or child's place in a page
inline constexpr uint16_t kBranchFlag = 1, kLeafFlag = 2, kMetaFlag = 4, kFreelistFlag = 16;
inline constexpr uint32_t kBucketElement = 1;

inline uint64_t fnv64a(std::string_view bytes) {
  uint64_t sum = 14695981039346656037u;
  for (const unsigned char c : bytes) sum = (sum ^ c) * 1099511628211u;
  return sum;
}

}  // namespace orch::storage::bbolt
