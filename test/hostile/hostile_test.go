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

// Package hostile attacks a real manager over real sockets, and looks whether anybody but
// the attacker is worse off for it.
package hostile

import (
	"slices"
	"testing"
)

// TestHostileClients prints a table at its end.
func TestHostileClients(t *testing.T) {
	w := newWorld(t)
	var rows []row
	for _, a := range slices.Concat(
		[]attack{{name: "none", run: (*siege).hold}},
		forgedIdentities(),
		stolenCertificates(),
		joins(),
		requests(),
		unfinished(),
		frames(),
		lies(),
		compromisedNodes(),
	) {
		t.Run(a.name, func(t *testing.T) { rows = append(rows, w.suffer(t, a)) })
	}
	t.Logf("what hostile clients get, with the latency of the honest node:\n\n%s", format(rows))
}
