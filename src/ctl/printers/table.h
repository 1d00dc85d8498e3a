// Columns of text, aligned as Go's tabwriter does for kubectl.
#pragma once

#include <string>
#include <vector>

#include "orch/api/json_value.h"

namespace orch::ctl {

// Lays rows out: a cell is padded by 3 spaces, is at least 6 wide, and the last of a row is not
// padded. Widths are remembered, so that rows of a watch stay below their headers.
class ColumnWriter {
 public:
  std::string lay_out(const std::vector<std::vector<std::string>>& rows);

 private:
  std::vector<size_t> widths_;
};

struct TableOptions {
  bool wide = false;
  bool headers = true;
  bool with_namespace = false;
  bool show_labels = false;
  std::vector<std::string> label_columns;  // -L
  std::string name_prefix;                 // "pod" gives "pod/web"
};

// The rows of a meta.k8s.io/v1 Table; the headers first if asked for.
std::vector<std::vector<std::string>> table_rows(const api::JsonValue& table,
                                                 const TableOptions& options);

// "5m", "3d4h": how kubectl shows an age.
std::string human_duration(int64_t seconds);

}  // namespace orch::ctl
