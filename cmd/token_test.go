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

package main

import (
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/command"
)

func TestTokenIsOfTheNamespace(t *testing.T) {
	t.Parallel()
	g := NewWithT(t)
	c := newClientWithCA(t, command.InstallNamespace)

	out, err := runCommand(t, newTokenCommand(accessTo(c)), "create")
	g.Expect(err).NotTo(HaveOccurred())
	g.Expect(out).To(ContainSubstring("edge-agent join"))
	g.Expect(newTokenCommand(accessTo(c)).Commands()[0].Example).To(HavePrefix("  manager token create "))

	_, err = runCommand(t, newTokenCommand(accessTo(c)), strings.Fields("create -n elsewhere")...)
	g.Expect(err).To(MatchError(ContainSubstring("namespace elsewhere")))
}
