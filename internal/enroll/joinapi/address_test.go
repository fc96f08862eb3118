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

package joinapi

import (
	"testing"

	. "github.com/onsi/gomega"
)

func TestParseHub(t *testing.T) {
	t.Parallel()
	for address, valid := range map[string]bool{
		"https://hub.example:8443":   true,
		"https://hub.example":        true,
		"https://hub.example/":       true,
		"https://[2001:db8::1]:8443": true,
		"http://hub.example":         false,
		"wss://hub.example":          false,
		"hub.example:8443":           false,
		"https://":                   false,
		"https://hub.example/sync":   false,
		"https://user@hub.example":   false,
		"https://hub.example?x=1":    false,
		"https://hub.example#x":      false,
		"https://hub.example:port":   false,
	} {
		t.Run(address, func(t *testing.T) {
			t.Parallel()
			_, err := ParseHub(address)
			if valid {
				NewWithT(t).Expect(err).NotTo(HaveOccurred())
			} else {
				NewWithT(t).Expect(err).To(HaveOccurred())
			}
		})
	}
}
