// Compiled in front of tfjs-node's sources. They set attributes that are lists of words or of types as if these were
// single words and lists of numbers; here the operation itself is asked what it takes. Words are parted by commas.

#pragma once
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>
#include "tensorflow/c/eager/c_api.h"

// Whether an operation's attribute is a list of such values.
static inline bool TakesList(TFE_Op *op, const char *name, TF_AttrType type) {
  unsigned char is_list = 0;
  TF_Status *status = TF_NewStatus();
  const TF_AttrType wanted = TFE_OpGetAttrType(op, name, &is_list, status);
  const bool known = TF_GetCode(status) == TF_OK;
  TF_DeleteStatus(status);
  return known && is_list && wanted == type;
}

static inline void SetWords(TFE_Op *op, const char *name, const void *value, size_t length) {
  if (!TakesList(op, name, TF_ATTR_STRING)) return TFE_OpSetAttrString(op, name, value, length);
  const std::string words(static_cast<const char *>(value), length);
  std::vector<const void *> starts;
  std::vector<size_t> lengths;
  for (size_t start = 0; start < length;) {
    const size_t comma = std::min(words.find(',', start), length);
    starts.push_back(words.data() + start);
    lengths.push_back(comma - start);
    start = comma + 1;
  }
  TFE_OpSetAttrStringList(op, name, starts.data(), lengths.data(), static_cast<int>(starts.size()));
}

static inline void SetNumbers(TFE_Op *op, const char *name, const int64_t *values, int count) {
  if (!TakesList(op, name, TF_ATTR_TYPE)) return TFE_OpSetAttrIntList(op, name, values, count);
  std::vector<TF_DataType> types;
  for (int i = 0; i < count; ++i) types.push_back(static_cast<TF_DataType>(values[i]));
  TFE_OpSetAttrTypeList(op, name, types.data(), count);
}

#define TFE_OpSetAttrString SetWords
#define TFE_OpSetAttrIntList SetNumbers
