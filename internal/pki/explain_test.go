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

package pki

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"testing"

	. "github.com/onsi/gomega"
)

func TestExplainServer(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	for advice, err := range map[string]error{
		`does not go by the name "hub" (use one of its names`: x509.HostnameError{Certificate: &x509.Certificate{}, Host: "hub"},
		"the clock of this machine, which says 20":            x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.Expired},
		"it has to join again":                                x509.UnknownAuthorityError{},
	} {
		wrapped := fmt.Errorf("dial: %w", &tls.CertificateVerificationError{Err: err})
		explained := ExplainServer("hub", wrapped)
		g.Expect(explained).To(MatchError(And(ContainSubstring(advice), ContainSubstring(err.Error()))))
	}
	for _, err := range []error{errors.New("x"), x509.CertificateInvalidError{Cert: &x509.Certificate{}, Reason: x509.TooManyIntermediates}} {
		g.Expect(ExplainServer("hub", err)).To(Succeed())
	}
}
