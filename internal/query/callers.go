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

package query

import (
	"crypto/x509"
	"errors"
	"net/http"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/request/headerrequest"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	authorizationv1client "k8s.io/client-go/kubernetes/typed/authorization/v1"

	"github.com/edgesync/edgesync/internal/pki"
)

// callers tells who asks. What a caller says of the user counts only with the certificate
// of a caller that may say it.
type callers struct {
	authority *pki.Authority
	// apiServer verifies the certificate, and reads the user from the headers. replica only
	// reads: identify verifies.
	apiServer, replica authenticator.Request
}

// caller is who asks, and through whom.
type caller struct {
	user user.Info
	// replica has forwarded the request; empty if it comes from the API server.
	replica string
}

func newCallers(apiServer authenticator.Request, authority *pki.Authority) (*callers, error) {
	// As transport.SetAuthProxyHeaders writes them.
	replica, err := headerrequest.New(
		[]string{"X-Remote-User"}, []string{"X-Remote-Uid"}, []string{"X-Remote-Group"}, []string{"X-Remote-Extra-"})
	return &callers{authority: authority, apiServer: apiServer, replica: replica}, err
}

var errNobody = errors.New("only the API server and the other replicas are served: ask through the API server, as with kubectl get --raw")

// identify names the caller, and takes what says so out of the request.
func (c *callers) identify(r *http.Request) (caller, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return caller{}, errNobody
	}
	certificate := r.TLS.PeerCertificates[0]
	if _, err := pki.ReplicaOf(certificate); err != nil {
		return identified(c.apiServer, r, "")
	}
	replica, err := c.authority.VerifyReplica(certificate, time.Now())
	if err != nil {
		return caller{}, err
	}
	return identified(c.replica, r, replica)
}

func identified(by authenticator.Request, r *http.Request, replica string) (caller, error) {
	response, ok, err := by.AuthenticateRequest(r)
	switch unknown := (x509.UnknownAuthorityError{}); {
	case errors.As(err, &unknown):
		return caller{}, errNobody
	case err != nil:
		return caller{}, err
	case !ok:
		return caller{}, errNobody
	}
	return caller{user: response.User, replica: replica}, nil
}

// newAuthorizer asks the API server, and believes it for ten seconds.
func newAuthorizer(reviews authorizationv1client.AuthorizationV1Interface) (authorizer.Authorizer, error) {
	return authorizerfactory.DelegatingAuthorizerConfig{
		SubjectAccessReviewClient: reviews,
		AllowCacheTTL:             10 * time.Second,
		DenyCacheTTL:              10 * time.Second,
		WebhookRetryBackoff:       &wait.Backoff{Duration: 500 * time.Millisecond, Factor: 1.5, Jitter: 0.2, Steps: 3},
	}.New()
}
