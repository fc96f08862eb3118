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

package source

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.1:80":               "192.0.2.1/32",
		"[::ffff:192.0.2.1]:80":      "192.0.2.1/32",
		"[2001:db8:1:2:3:4:5:6]:80":  "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::]:9999": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":          "fe80::/64",
		"hub:80":                     "invalid Prefix",
		"@":                          "invalid Prefix",
		"":                           "invalid Prefix",
	} {
		NewWithT(t).Expect(Of(remote).String()).To(Equal(want), remote)
	}
}
