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

package e2e

import (
	"bufio"
	"encoding/json"
	"os"
	"strings"

	. "github.com/onsi/gomega"

	"github.com/edgesync/edgesync/internal/testing/fleet"
)

// auditPolicy has every write of the manager logged, and nothing else.
const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived, ResponseStarted]
rules:
- level: Metadata
  users: ["system:serviceaccount:` + fleet.Namespace + `:edgesync-controller-manager"]
  verbs: [create, update, patch, delete, deletecollection]
- level: None
`

// auditLog is the file that the API server writes before it answers a request.
var auditLog string

// auditEvent is what is of interest in a line of the audit log.
type auditEvent struct{ Verb, RequestURI string }

// managerWrites are all writes of the manager so far, those refused included.
func managerWrites() []string {
	file, err := os.Open(auditLog)
	Expect(err).NotTo(HaveOccurred())
	defer file.Close()
	var writes []string
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var event auditEvent
		Expect(json.Unmarshal(lines.Bytes(), &event)).To(Succeed())
		writes = append(writes, strings.Join([]string{event.Verb, event.RequestURI}, " "))
	}
	Expect(lines.Err()).NotTo(HaveOccurred())
	return writes
}
