/*
Copyright 2026 The edgesync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

// Package joinapi is what an agent and the hub say to each other when a node joins, or
// renews its certificate: one POST of a Request to Path, or of a RenewRequest to
// RenewPath with the present certificate as client certificate, over TLS, answered by a
// Response, or by an Error and a status other than 200.
package joinapi

const (
	// Path is where the hub takes a join.
	Path = "/v1/join"
	// RenewPath is where the hub takes a renewal.
	RenewPath = "/v1/renew"
	// MaxRequestBytes bounds the body of a request.
	MaxRequestBytes = 64 << 10
	// MaxResponseBytes bounds the body of an answer, which may hold several CAs.
	MaxResponseBytes = 256 << 10
)

// Request asks for the certificate of a node.
type Request struct {
	// Token is the join token, as <id>.<secret>.
	Token string `json:"token"`
	// Node is the name that the node wants.
	Node string `json:"node"`
	// CSR is a PEM certificate request. Only its public key is used.
	CSR string `json:"csr"`
}

// RenewRequest asks for the next certificate of the node that the client certificate
// names.
type RenewRequest struct {
	// CSR is a PEM certificate request. Only its public key is used.
	CSR string `json:"csr"`
}

// Response is the identity of the node.
type Response struct {
	// Certificate is the certificate of the node as PEM.
	Certificate string `json:"certificate"`
	// CA holds the certificates to trust from now on as PEM.
	CA string `json:"ca"`
}

// Error says why there is no certificate. A token that is wrong, used, expired or
// bound to another node gets the same status (401) and message in every case.
type Error struct {
	Error string `json:"error"`
}
