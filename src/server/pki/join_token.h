// The server's join token, kept in <data-dir>/server/token.
#pragma once

#include <string>

#include "orch/base/random.h"
#include "orch/base/result.h"
#include "orch/client/join.h"

namespace orch::server {

// `configured` (from --token) wins over the file; neither: a fresh secret. The file is written when
// it differs. Error: a sentence naming the file or flag.
Result<client::JoinToken, std::string> load_or_create_token(const std::string& path,
                                                            const std::string& configured,
                                                            const std::string& ca_pem,
                                                            Random& random);

// The admin's kubeconfig text.
std::string make_kubeconfig(const std::string& server_url, const std::string& ca_pem,
                            const std::string& certificate_pem, const std::string& key_pem);

}  // namespace orch::server
