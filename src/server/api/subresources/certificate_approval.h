// What is special about CertificateSigningRequests on the write path: who asks is written by the
// server, decisions go through approval, certificates through status, and both need rights of
// their own on the signer (verbs approve and sign on the resource signers).
#pragma once

#include "orch/api/object.h"
#include "server/api/api_server.h"

namespace orch::server {

bool is_certificate_request(const api::ResourceInfo& resource);
// Of a new request: writes the user into it and checks the PKCS#10 text. 422, or 403 where nobody
// may ask for that.
api::ApiResult<Unit> admit_certificate_request(api::Object& object, const UserInfo& user);
// Whether an update through `subresource` decides about the request.
bool decides_certificate(const api::ResourceInfo& resource, std::string_view subresource);
// Of such an update: keeps what it must not change, checks the rest, and asks for the right to
// decide. 422 or 403.
api::ApiResult<Unit> admit_certificate_decision(ApiServer& server, const UserInfo& user,
                                                std::string_view subresource,
                                                const api::Object& old_object, api::Object& object);

}  // namespace orch::server
