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
	"crypto/x509"
	"errors"
	"fmt"
	"time"
)

// ExplainServer says what to do about a hub, dialed as host, whose certificate could not
// be verified; nil if err is about something else.
func ExplainServer(host string, err error) error {
	if hostname, ok := errors.AsType[x509.HostnameError](err); ok {
		return fmt.Errorf("the hub does not go by the name %q (use one of its names, or have this one added to the manager's): %w",
			host, hostname)
	}
	if invalid, ok := errors.AsType[x509.CertificateInvalidError](err); ok && invalid.Reason == x509.Expired {
		return fmt.Errorf("the certificate of the hub is not valid by the clock of this machine, which says %s (is it right?): %w",
			time.Now().Format(time.RFC3339), invalid)
	}
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("the certificate of %s comes from no CA that this machine trusts "+
			"(if the CA was replaced while the machine was away, it has to join again): %w", host, unknown)
	}
	return nil
}
